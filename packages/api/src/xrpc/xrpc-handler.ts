import { randomUUID } from 'node:crypto'
import { isNsid } from '@catbird/shared/lexicon'
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context } from 'hono'
import { AuthError } from '../auth/auth-error.ts'
import type { AppContext } from '../context.ts'
import { RequestLimits } from '../limits/request-limits.ts'
import { CORS_HEADERS, securityHeaders } from '../middleware/outer-headers.ts'
import { answer } from './answer.ts'
import { errorResponse, toRefusal } from './errors.ts'

type HonoContext = Context<{ Bindings: HttpBindings }>

/** One XRPC request. Every refusal becomes a JSON error by name; only faults become InternalServerError. */
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
    log.debug('Request received')
    const limits = new RequestLimits(context.rateLimits)
    let status = 200
    let error: string | undefined
    let body: string | undefined
    const headers: Record<string, string> = { ...everyAnswer, 'X-Request-Id': requestId }
    try {
      const { incoming, outgoing } = c.env as HttpBindings
      body = await answer(context, { incoming, outgoing, nsid, requestId, limits, headers })
    } catch (thrown) {
      const refused = toRefusal(thrown, (fault) => log.error({ err: fault }, 'Request failed'))
      const response = errorResponse(refused)
      Object.assign(headers, response.headers)
      status = response.status
      body = response.body
      error = refused.error
      if (error === 'RateLimitExceeded') context.metrics.rateLimited(label)
      // Found in the database, not by the authenticator, which counts its own.
      if (error === 'ReplayedToken' && !(thrown instanceof AuthError)) context.metrics.authFailed('replayed')
      if (status === 413 || status === 415) headers.Connection = 'close'
    }
    Object.assign(headers, limits.headers())
    context.metrics.requestDone(label, status, error, (performance.now() - startedMs) / 1000)
    log.debug({ status, error }, 'Request done')
    if (body === undefined) return RESPONSE_ALREADY_SENT
    // Not by way of the context, which would build a Headers object only to have it taken apart again.
    return new Response(body, { status, headers })
  }
}
