import { timingSafeEqual } from 'node:crypto'
import { sha256 } from '@catbird/shared/bytes'
import type { HttpBindings } from '@hono/node-server'
import type { MiddlewareHandler } from 'hono'

/** Lets in who has the token; without a token, who asks from this machine. */
export function mayReadMetrics(token: string | undefined): MiddlewareHandler<{ Bindings: HttpBindings }> {
  return async function metricsAccess(c, next) {
    const isAllowed =
      token === undefined
        ? isLoopback(c.env.incoming.socket.remoteAddress)
        : isEqual(c.req.header('authorization') ?? '', `Bearer ${token}`)
    if (!isAllowed) return c.json({ error: 'Forbidden', message: 'metrics are not for everybody' }, 403)
    await next()
  }
}

function isLoopback(address = ''): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address)
}

/** Takes the same time wherever the texts differ. */
function isEqual(a: string, b: string): boolean {
  return timingSafeEqual(sha256(a), sha256(b))
}
