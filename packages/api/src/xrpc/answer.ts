import type { IncomingMessage, ServerResponse } from 'node:http'
import { RefusalError } from '@catbird/shared/errors'
import { assertOutput, isNsid, methodKind, type Nsid, parseInput, parseParams } from '@catbird/shared/lexicon'
import { withDeadline } from '@catbird/shared/sql'
import { AuthError } from '../auth/auth-error.ts'
import type { Caller } from '../auth/authenticator.ts'
import type { AppContext } from '../context.ts'
import type { RequestLimits } from '../limits/request-limits.ts'
import { METHODS } from '../methods/index.ts'
import { readJsonBody } from './body.ts'
import type { Admission } from './inflight-budget.ts'
import type { Method, Request } from './method.ts'

/** How long a client may take to read its answer. */
const READING_MS = 60_000
/** How long after the deadline an answer may still come, so that the one who did the work names the refusal. */
const GRACE_MS = 500

/** A request as it came, and where its answer goes. */
export type Call = {
  incoming: IncomingMessage
  outgoing: ServerResponse
  nsid: string
  requestId: string
  limits: RequestLimits
}

type KnownCall = Call & { nsid: Nsid; method: Method<Nsid>; isQuery: boolean; deadlineMs: number }

/**
 * Answers a request with its method's output as JSON, in the order that the contract gives: admission → authentication →
 * limits of the caller → body → validation → limits of the conversation → method. Throws `RefusalError`s.
 */
export async function answer(context: AppContext, call: Call): Promise<string> {
  const known = recognise(context, call)
  const admission = admit(context, known)
  try {
    const caller = await identify(context, known)
    await call.limits.takeCaller(caller.did, known.nsid)
    if (context.blockedDids.has(caller.did)) {
      throw new RefusalError('Forbidden', 'this account is blocked on this server')
    }
    admission.belongsTo(caller.did)
    const input = await readInput(known, caller, admission)
    await call.limits.takeInput(caller.did, known.nsid, input)
    const output = JSON.stringify(await run(context, known, input, caller))
    // What a procedure did must be told; its answer is small.
    if (known.isQuery && !admission.chargeAnswer(Buffer.byteLength(output))) throw overloaded()
    return output
  } catch (thrown) {
    // Every other refusal says that nothing was written.
    if (thrown instanceof RefusalError && thrown.refusal.error !== 'OutcomeUnknown') {
      await call.limits.storedNothing()
    }
    throw thrown
  }
}

function recognise(context: AppContext, call: Call): KnownCall {
  const { nsid, incoming } = call
  if (!isNsid(nsid)) throw new RefusalError('MethodNotImplemented', 'no such method')
  const isQuery = methodKind(nsid) === 'query'
  if (incoming.method !== (isQuery ? 'GET' : 'POST')) {
    throw new RefusalError('MethodNotAllowed', `use ${isQuery ? 'GET' : 'POST'}`)
  }
  if (context.isDraining()) throw new RefusalError('ShuttingDown', 'the server is shutting down')
  const method = METHODS[nsid] as Method<Nsid>
  return { ...call, nsid, method, isQuery, deadlineMs: Date.now() + context.config.server.requestTimeoutMs }
}

/** What the request holds is held until its answer has been taken, which is not waited for without end. */
function admit({ budget }: AppContext, call: KnownCall): Admission {
  const { incoming, outgoing, method, isQuery, deadlineMs } = call
  const declared = isQuery ? 0 : Number(incoming.headers['content-length'] ?? 0)
  const admission = budget.admit(Math.min(declared, method.maxBodyBytes))
  if (!admission) throw overloaded()
  const timer = setTimeout(() => outgoing.destroy(), deadlineMs - Date.now() + READING_MS)
  outgoing.once('close', () => {
    clearTimeout(timer)
    admission.release()
  })
  return admission
}

function overloaded(): RefusalError {
  return new RefusalError('Overloaded', 'too many bytes are in flight')
}

async function identify(context: AppContext, { incoming, nsid, limits }: KnownCall): Promise<Caller> {
  const address = context.clientAddress(incoming)
  await limits.addressMayTry(address)
  return await context.authenticator
    .authenticate(incoming.headers.authorization, nsid)
    .catch(async (error) => {
      if (error instanceof AuthError && error.isCostly) await limits.addressFailed(address)
      throw error
    })
}

async function readInput(call: KnownCall, caller: Caller, admission: Admission): Promise<object> {
  const { incoming, nsid, method, isQuery, deadlineMs, limits } = call
  if (isQuery) {
    const { searchParams } = new URL(incoming.url ?? '', 'http://localhost')
    return parseParams(nsid as 'blue.catbird.mls.getEpoch', searchParams)
  }
  const takeBytes = (bytes: number) => limits.takeBody(caller.did, bytes)
  const body = await readJsonBody(incoming, {
    maxBytes: method.maxBodyBytes,
    deadlineMs,
    admission,
    takeBytes,
  })
  return parseInput(nsid as 'blue.catbird.mls.sendMessage', body)
}

async function run(context: AppContext, call: KnownCall, input: object, caller: Caller): Promise<unknown> {
  const { nsid, method, isQuery, requestId, deadlineMs } = call
  const request: Request = { caller: caller.did, tokenUse: caller.useToken?.(), requestId, deadlineMs }
  const { sql } = context
  const output = await withDeadline(
    method.run(context, input as never, request),
    deadlineMs - Date.now() + GRACE_MS,
    () => {
      // Only the database keeps a query waiting.
      if (isQuery) context.renewPool(sql)
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
