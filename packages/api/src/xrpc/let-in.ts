import type { IncomingMessage } from 'node:http'
import type { Writable } from 'node:stream'
import { RefusalError } from '@catbird/shared/errors'
import {
  isNsid,
  isProcedure,
  isStream,
  type Nsid,
  type ProcedureNsid,
  parseInput,
  parseParams,
} from '@catbird/shared/lexicon'
import { AuthError } from '../auth/auth-error.ts'
import type { Caller } from '../auth/authenticator.ts'
import { redeemTicket } from '../auth/tickets.ts'
import type { AppContext } from '../context.ts'
import type { RequestLimits } from '../limits/request-limits.ts'
import { METHODS } from '../methods/index.ts'
import { readJsonBody } from './body.ts'
import type { Admission } from './inflight-budget.ts'
import { BODY_LIMITS } from './method.ts'

/** How long a client may take to read its answer. */
const READING_MS = 60_000

/** A request as it came, and where its answer goes. */
export type Call = {
  incoming: IncomingMessage
  /** The answer, or the socket that is to become one. */
  outgoing: Writable
  nsid: string
  requestId: string
  limits: RequestLimits
  /** Of its answer, whatever that will be. */
  headers: Record<string, string>
}

/** A request that may be served: known, from whom, within the limits, and with an input that its lexicon allows. */
export type Entered = {
  nsid: Nsid
  caller: Caller
  input: object
  admission: Admission
  /** Unix ms. */
  deadlineMs: number
}

/**
 * Looks at everything that a request can be refused for before its method runs, in the order that the contract gives:
 * admission → authentication → limits of the caller → body → validation → limits of the conversation. Throws `RefusalError`s.
 */
export async function letIn(context: AppContext, call: Call): Promise<Entered> {
  const nsid = recognise(context, call)
  const deadlineMs = Date.now() + context.config.server.requestTimeoutMs
  const maxBodyBytes = isStream(nsid) ? BODY_LIMITS.none : METHODS[nsid].maxBodyBytes
  const admission = admit(context, call, maxBodyBytes, deadlineMs)
  const caller = await identify(context, call, nsid)
  await call.limits.takeCaller(caller.did, nsid)
  if (context.blockedDids.has(caller.did)) {
    throw new RefusalError('Forbidden', 'this account is blocked on this server')
  }
  admission.belongsTo(caller.did)
  const takeBytes = (bytes: number) => call.limits.takeBody(caller.did, bytes)
  const input = isProcedure(nsid)
    ? await readInput(call, nsid, { maxBytes: maxBodyBytes, deadlineMs, admission, takeBytes })
    : parseParams(nsid as 'blue.catbird.mls.getEpoch', queryOf(call))
  await call.limits.takeInput(caller.did, nsid, input)
  return { nsid, caller, input, admission, deadlineMs }
}

function recognise(context: AppContext, { nsid, incoming }: Call): Nsid {
  if (!isNsid(nsid)) throw new RefusalError('MethodNotImplemented', 'no such method')
  const verb = isProcedure(nsid) ? 'POST' : 'GET'
  if (incoming.method !== verb) throw new RefusalError('MethodNotAllowed', `use ${verb}`)
  if (context.isDraining()) throw new RefusalError('ShuttingDown', 'the server is shutting down')
  return nsid
}

/** What the request holds is held until its answer has been taken, which is not waited for without end. */
function admit(
  { budget }: AppContext,
  { incoming, outgoing }: Call,
  maxBodyBytes: number,
  deadlineMs: number,
): Admission {
  const declared = maxBodyBytes === 0 ? 0 : Number(incoming.headers['content-length'] ?? 0)
  const admission = budget.admit(Math.min(declared, maxBodyBytes))
  if (!admission) throw overloaded()
  const timer = setTimeout(() => outgoing.destroy(), deadlineMs - Date.now() + READING_MS)
  const release = () => {
    clearTimeout(timer)
    admission.release()
  }
  outgoing.once('close', release)
  return { ...admission, release }
}

export function overloaded(): RefusalError {
  return new RefusalError('Overloaded', 'too many bytes are in flight')
}

async function identify(context: AppContext, call: Call, nsid: Nsid): Promise<Caller> {
  const { incoming, limits } = call
  const address = context.clientAddress(incoming)
  await limits.addressMayTry(address)
  const { authorization } = incoming.headers
  const ticket = isStream(nsid) && authorization === undefined ? queryOf(call).get('ticket') : null
  const proof =
    ticket === null
      ? context.authenticator.authenticate(authorization, nsid)
      : redeem(context, ticket, queryOf(call))
  return await proof.catch(async (error) => {
    if (error instanceof AuthError && error.isCostly) await limits.addressFailed(address)
    throw error
  })
}

/** A ticket is good for the stream that it was issued for: of this conversation, or of all. */
async function redeem(context: AppContext, ticket: string, query: URLSearchParams): Promise<Caller> {
  try {
    const convoId = query.get('convoId') ?? query.get('convo_id') ?? undefined
    const did = await context.database.query('redeem_ticket', (sql) => redeemTicket(sql, ticket, convoId))
    return { did }
  } catch (error) {
    if (error instanceof AuthError) context.metrics.authFailed(error.reason)
    throw error
  }
}

function queryOf({ incoming }: Call): URLSearchParams {
  return new URL(incoming.url ?? '', 'http://localhost').searchParams
}

async function readInput(
  { incoming }: Call,
  nsid: ProcedureNsid,
  limits: Parameters<typeof readJsonBody>[1],
): Promise<object> {
  return parseInput(nsid as 'blue.catbird.mls.sendMessage', await readJsonBody(incoming, limits))
}
