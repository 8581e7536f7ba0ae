import type { IncomingMessage } from 'node:http'
import type { Clock } from '@catbird/shared/clock'
import { LogCap } from '@catbird/shared/log-cap'
import type { HttpBindings } from '@hono/node-server'
import type { Context, MiddlewareHandler } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import type { CookieOptions } from 'hono/utils/cookie'
import type { Logger } from 'pino'
import { RateLimitError } from '../limits/limit-state.ts'
import { Limiter } from '../limits/limiter.ts'
import { type Session, Sessions } from './sessions.ts'

const COOKIE = 'catbird_ops'
/** A header that no page of another origin can send without asking first, which nobody answers here. */
const CONSOLE_HEADER = 'x-catbird-console'
const FAILURES = { points: 10, windowS: 60, maxKeys: 10_000 }

type Env = { Bindings: HttpBindings; Variables: { session: Session } }
export type GateContext = Context<Env>

type Parts = {
  token: string
  clock: Clock
  log: Logger
  isHttps: boolean
  clientAddress: (incoming: IncomingMessage) => string
}

/**
 * Who may use the console: who shows its token as a bearer token, or a page of the console itself with the cookie that it
 * got for the token. Nothing that another site makes a browser send is answered.
 */
export class Gate {
  readonly #sessions: Sessions
  readonly #failures: Limiter
  readonly #clientAddress: Parts['clientAddress']
  readonly #log: LogCap
  readonly #cookie: CookieOptions

  constructor({ token, clock, log, isHttps, clientAddress }: Parts) {
    this.#sessions = new Sessions(token, clock)
    this.#failures = new Limiter('wrong tokens from this address', { ...FAILURES, clock })
    this.#clientAddress = clientAddress
    this.#log = new LogCap(clock, ({ level, fields, message }) => log[level](fields, message))
    this.#cookie = { path: '/ops', httpOnly: true, sameSite: 'Strict', secure: isHttps }
  }

  /** For all but the start of a session. */
  get guard(): MiddlewareHandler<Env> {
    const gate = this
    return async function consoleGuard(c, next) {
      if (isFromElsewhere(c)) return forbidden(c)
      const bearer = bearerOf(c)
      if (bearer !== undefined) return (await gate.#refusal(c, bearer)) ?? next()
      const session = await gate.#sessions.read(getCookie(c, COOKIE) ?? '')
      if (!session) return unauthorized(c, 'the session is over, or there was none')
      if (c.req.header(CONSOLE_HEADER) === undefined) return forbidden(c)
      c.set('session', session)
      const renewed = await gate.#sessions.renew(session)
      if (renewed !== undefined) setCookie(c, COOKIE, renewed, gate.#cookie)
      return next()
    }
  }

  /** Exchanges the token for a cookie. */
  async begin(c: GateContext): Promise<Response> {
    if (isFromElsewhere(c)) return forbidden(c)
    const refusal = await this.#refusal(c, bearerOf(c) ?? '')
    if (refusal) return refusal
    setCookie(c, COOKIE, await this.#sessions.begin(), this.#cookie)
    this.#log.line('login', 'info', 'Operator console: a session began', {})
    return c.body(null, 204)
  }

  end(c: GateContext): Response {
    const session = c.get('session')
    if (session) this.#sessions.end(session)
    deleteCookie(c, COOKIE, this.#cookie)
    return c.body(null, 204)
  }

  /** The right token is always let in: the address may be that of a proxy, behind which strangers fail too. */
  async #refusal(c: GateContext, token: string): Promise<Response | undefined> {
    if (this.#sessions.isToken(token)) return undefined
    const address = this.#clientAddress(c.env.incoming)
    try {
      await this.#failures.check(address)
    } catch (error) {
      if (!(error instanceof RateLimitError)) throw error
      c.header('Retry-After', String(error.state.resetS))
      return c.json({ error: 'RateLimitExceeded', message: error.message }, 429)
    }
    await this.#failures.count(address)
    this.#log.line('failure', 'warn', 'Operator console: a wrong token', {})
    return unauthorized(c, 'this is not the token of the console')
  }
}

/** Browsers say where a request comes from; what another site makes them send is nobody's wish. */
function isFromElsewhere(c: GateContext): boolean {
  const site = c.req.header('sec-fetch-site')
  if (site !== undefined) return site !== 'same-origin' && !(site === 'none' && c.req.method === 'GET')
  const origin = c.req.header('origin')
  return origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== c.req.header('host'))
}

function bearerOf(c: GateContext): string | undefined {
  return /^Bearer +(\S.*)$/i.exec(c.req.header('authorization') ?? '')?.[1]
}

function unauthorized(c: GateContext, message: string): Response {
  return c.json({ error: 'AuthenticationRequired', message }, 401)
}

function forbidden(c: GateContext): Response {
  return c.json({ error: 'Forbidden', message: 'the console answers its own page only' }, 403)
}
