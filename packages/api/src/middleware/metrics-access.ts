import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { sha256 } from '@catbird/shared/bytes'
import type { HttpBindings } from '@hono/node-server'
import type { MiddlewareHandler } from 'hono'

/** Any of them says that somebody stands between: a proxy on this machine is no reader on this machine. */
const FORWARDING_HEADERS = ['x-forwarded-for', 'forwarded', 'x-real-ip', 'via']

/** Lets in who has the token; without a token, who asks from this machine. */
export function mayReadMetrics(token: string | undefined): MiddlewareHandler<{ Bindings: HttpBindings }> {
  return async function metricsAccess(c, next) {
    const isAllowed =
      token === undefined
        ? isFromHere(c.env.incoming)
        : isEqual(c.req.header('authorization') ?? '', `Bearer ${token}`)
    if (!isAllowed) return c.json({ error: 'Forbidden', message: 'metrics are not for everybody' }, 403)
    await next()
  }
}

/** A header can only take this away, so it does not matter whose proxies are trusted. */
function isFromHere({ socket, headers }: IncomingMessage): boolean {
  return isLoopback(socket.remoteAddress) && !FORWARDING_HEADERS.some((name) => headers[name] !== undefined)
}

function isLoopback(address = ''): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address)
}

/** Takes the same time wherever the texts differ. */
function isEqual(a: string, b: string): boolean {
  return timingSafeEqual(sha256(a), sha256(b))
}
