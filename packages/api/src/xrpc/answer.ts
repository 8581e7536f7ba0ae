import { RefusalError } from '@catbird/shared/errors'
import { assertOutput, isProcedure, isStream } from '@catbird/shared/lexicon'
import { withDeadline } from '@catbird/shared/sql'
import type { AppContext } from '../context.ts'
import { METHODS } from '../methods/index.ts'
import { type Call, type Entered, letIn, overloaded } from './let-in.ts'
import type { Method, Request } from './method.ts'
import { openEventStream } from './open-stream.ts'

/** How long after the deadline an answer may still come, so that the one who did the work names the refusal. */
const GRACE_MS = 500

/**
 * Answers a request with its method's output as JSON; undefined when the answer is a stream, which goes its own way.
 * Throws `RefusalError`s.
 */
export async function answer(context: AppContext, call: Call): Promise<string | undefined> {
  try {
    const entered = await letIn(context, call)
    if (isStream(entered.nsid)) return await openEventStream(context, call, entered)
    const output = JSON.stringify(await run(context, entered, call.requestId))
    // What a procedure did must be told; its answer is small.
    const isCharged = isProcedure(entered.nsid) || entered.admission.chargeAnswer(Buffer.byteLength(output))
    if (!isCharged) throw overloaded()
    return output
  } catch (thrown) {
    // Every other refusal says that nothing was written.
    if (thrown instanceof RefusalError && thrown.refusal.error !== 'OutcomeUnknown') {
      await call.limits.storedNothing()
    }
    throw thrown
  }
}

async function run(context: AppContext, entered: Entered, requestId: string): Promise<unknown> {
  const { nsid, caller, input, deadlineMs } = entered
  const isQuery = !isProcedure(nsid)
  const request: Request = { caller: caller.did, tokenUse: caller.useToken?.(), requestId, deadlineMs }
  const method = METHODS[nsid as keyof typeof METHODS] as Method<'blue.catbird.mls.getEpoch'>
  const { database } = context
  const { pool } = database
  const output = await withDeadline(
    method.run(context, input as never, request),
    deadlineMs - Date.now() + GRACE_MS,
    () => {
      // Only the database keeps a query waiting.
      if (isQuery) database.renew(pool)
      return lateAnswer(isQuery)
    },
  )
  if (context.checkOutputs) assertOutput(nsid, output)
  return output
}

/** Of anything but a query nobody knows whether it happened. */
function lateAnswer(isQuery: boolean): RefusalError {
  if (isQuery) return new RefusalError('DatabaseUnavailable', 'the database did not answer in time')
  const text = 'the answer did not come in time; a retry with the same idempotency key is safe'
  return new RefusalError('OutcomeUnknown', text)
}
