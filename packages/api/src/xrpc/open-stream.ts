import type { ServerResponse } from 'node:http'
import { RefusalError } from '@catbird/shared/errors'
import type { StreamParams } from '@catbird/shared/lexicon'
import type { AppContext } from '../context.ts'
import type { Form } from '../events/frame.ts'
import { SseConnection } from '../events/sse-connection.ts'
import type { PreparedStream } from '../events/streams.ts'
import type { Call, Entered } from './let-in.ts'

/** Begins to answer with Server-Sent Events. Throws `RefusalError`s while nothing has been sent. */
export async function openEventStream(context: AppContext, call: Call, entered: Entered): Promise<undefined> {
  if (entered.nsid !== 'blue.catbird.mls.streamConvoEvents') {
    throw new RefusalError('InvalidRequest', 'this method is a WebSocket')
  }
  const params = entered.input as StreamParams
  // A browser that connects again by itself sends the newest id it has seen, and the URL that it began with.
  const lastEventId = call.incoming.headers['last-event-id']
  const cursor = typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : params.cursor
  const stream = await prepareStream(context, call, { ...entered, input: { ...params, cursor } }, 'sse')
  const connection = new SseConnection(call.outgoing as ServerResponse)
  connection.begin({ ...call.headers, ...call.limits.headers() })
  stream.start(connection)
}

/** Looks at all that a stream could be refused for; should its reader leave before it begins, it is given up. */
export async function prepareStream(
  { streams }: AppContext,
  { outgoing, requestId }: Call,
  { caller, input, admission, deadlineMs }: Entered,
  form: Form,
): Promise<PreparedStream> {
  const params = input as StreamParams
  const stream = await streams.prepare({ did: caller.did, params, form, requestId, deadlineMs })
  // What a stream holds is bounded in other ways, and it may last.
  admission.release()
  outgoing.once('close', stream.abandon)
  if (outgoing.destroyed) stream.abandon()
  return stream
}
