import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { ERROR_STATUS } from '@catbird/shared/errors'
import type { AppContext } from '../context.ts'
import { RequestLimits } from '../limits/request-limits.ts'
import type { UpgradeHandlers } from '../upgrades.ts'
import { toRefusal } from './errors.ts'
import { type Call, letIn } from './let-in.ts'
import { prepareStream } from './open-stream.ts'

const NSID = 'blue.catbird.mls.subscribeConvoEvents'
const SWITCHING_PROTOCOLS = 101

/** What is done with requests that want to become the WebSocket of a stream. */
export function upgradeHandler(context: AppContext): UpgradeHandlers {
  const calls = new WeakMap<IncomingMessage, Call>()
  return {
    publicUrl: context.config.server.publicUrl,
    async open(incoming, socket) {
      const startedMs = performance.now()
      const call = callOf(context, incoming, socket)
      calls.set(incoming, call)
      const log = context.log.child({ requestId: call.requestId, method: NSID })
      log.debug('Request received')
      const done = (status: number, error?: string) => {
        context.metrics.requestDone(NSID, status, error, (performance.now() - startedMs) / 1000)
        log.debug({ status, error }, 'Request done')
      }
      try {
        const stream = await prepareStream(context, call, await letIn(context, call), 'cbor')
        done(SWITCHING_PROTOCOLS)
        return stream.start
      } catch (thrown) {
        const { error } = toRefusal(thrown, () => {})
        done(ERROR_STATUS[error], error)
        throw thrown
      }
    },
    onFault: (fault, incoming) => {
      const requestId = calls.get(incoming)?.requestId
      context.log.error({ err: fault, requestId, method: NSID }, 'Request failed')
    },
    moreHeaders: (incoming) => {
      const call = calls.get(incoming)
      return call ? { ...call.headers, ...call.limits.headers() } : {}
    },
  }
}

function callOf(context: AppContext, incoming: IncomingMessage, socket: Socket): Call {
  const requestId = randomUUID()
  const limits = new RequestLimits(context.rateLimits)
  return { incoming, outgoing: socket, nsid: NSID, requestId, limits, headers: { 'X-Request-Id': requestId } }
}
