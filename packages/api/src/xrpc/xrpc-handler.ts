import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { RefusalError } from '@catbird/shared/errors'
import { assertOutput, isNsid, methodKind, type Nsid, parseInput, parseParams } from '@catbird/shared/lexicon'
import { withDeadline } from '@catbird/shared/sql'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { AppContext } from '../context.ts'
import { METHODS } from '../methods/index.ts'
import { CORS_HEADERS, securityHeaders } from '../middleware/outer-headers.ts'
import { readJsonBody } from './body.ts'
import { errorResponse, toRefusal } from './errors.ts'
import type { Method } from './method.ts'

type HonoContext = Context<{ Bindings: HttpBindings }>

/** How long after the deadline an answer may still come, so that the one who did the work names the refusal. */
const GRACE_MS = 500

/**
 * One XRPC request, in the order that the contract gives: admission → authentication → body → validation → method.
 * Every refusal becomes a JSON error by name; only faults become InternalServerError.
 */
export function xrpcHandler(context: AppContext): (c: HonoContext) => Promise<Response> {
  const everyAnswer = {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    ...CORS_HEADERS,
    ...securityHeaders(context.config.server.publicUrl),
  }
  return async function handleXrpc(c) {
    const startedMs = performance.now()
    const requestId = randomUUID()
    const nsid = c.req.path.slice('/xrpc/'.length)
    const label = isNsid(nsid) ? nsid : 'unknown'
    const log = context.log.child({ requestId, method: label })
    let status = 200
    let error: string | undefined
    let body: string
    const headers: Record<string, string> = { ...everyAnswer, 'X-Request-Id': requestId }
    try {
      body = JSON.stringify(await answer(context, c, nsid, requestId))
    } catch (thrown) {
      const refused = toRefusal(thrown, (fault) => log.error({ err: fault }, 'Request failed'))
      const response = errorResponse(refused)
      Object.assign(headers, response.headers)
      status = response.status
      body = response.body
      error = refused.error
      if (status === 413 || status === 415) headers.Connection = 'close'
    }
    context.metrics.requestDone(label, status, error, (performance.now() - startedMs) / 1000)
    log.debug({ status, error }, 'Request done')
    // Not by way of the context, which would build a Headers object only to have it taken apart again.
    return new Response(body, { status, headers })
  }
}

async function answer(
  context: AppContext,
  c: HonoContext,
  nsid: string,
  requestId: string,
): Promise<unknown> {
  if (!isNsid(nsid)) throw new RefusalError('MethodNotImplemented', 'no such method')
  const { incoming } = c.env as { incoming: IncomingMessage }
  const isQuery = methodKind(nsid) === 'query'
  if (c.req.method !== (isQuery ? 'GET' : 'POST')) {
    throw new RefusalError('MethodNotAllowed', `use ${isQuery ? 'GET' : 'POST'}`)
  }
  if (context.isDraining()) throw new RefusalError('ShuttingDown', 'the server is shutting down')
  const method = METHODS[nsid] as Method<Nsid>
  const declared = isQuery ? 0 : Number(incoming.headers['content-length'] ?? 0)
  const admission = context.budget.admit(Math.min(declared, method.maxBodyBytes))
  if (!admission) throw new RefusalError('Overloaded', 'too many bytes are in flight')
  try {
    const deadlineMs = Date.now() + context.config.server.requestTimeoutMs
    const { did } = await context.authenticator.authenticate(c.req.header('authorization'), nsid)
    const input = isQuery
      ? parseParams(nsid as 'blue.catbird.mls.getEpoch', new URL(c.req.url).searchParams)
      : parseInput(
          nsid as 'blue.catbird.mls.sendMessage',
          await readJsonBody(incoming, { maxBytes: method.maxBodyBytes, deadlineMs, admission }),
        )
    const request = { caller: did, requestId, deadlineMs }
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
  } finally {
    admission.release()
  }
}

/** Of anything but a query nobody knows whether it happened. */
function lateAnswer(isQuery: boolean): RefusalError {
  if (isQuery) return new RefusalError('DatabaseUnavailable', 'the database did not answer in time')
  const text = 'the answer did not come in time; a retry with the same idempotency key is safe'
  return new RefusalError('OutcomeUnknown', text)
}
