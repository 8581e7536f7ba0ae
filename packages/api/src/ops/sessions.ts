import { hkdfSync, randomUUID, timingSafeEqual } from 'node:crypto'
import { sha256 } from '@catbird/shared/bytes'
import type { Clock } from '@catbird/shared/clock'
import { jwtVerify, SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'

const IDLE_S = 30 * 60
const LONGEST_S = 12 * 60 * 60
/** Signs of life are given this often, not with each of a page's many requests. */
const RENEW_AFTER_S = 60
const KEY_BYTES = 32
/** Only who has the token can end a session. */
const MAX_ENDED = 1000
const AUDIENCE = 'catbird-ops'

export type Session = { id: string; startedAtS: number; signedAtS: number }

/**
 * Sessions of the console, each in a cookie that is signed with a key made from the console's token: they outlast a
 * restart, and end with another token, after half an hour without use, after twelve hours, or when their owner ends them.
 */
export class Sessions {
  readonly #tokenHash: Uint8Array
  readonly #key: Uint8Array
  readonly #clock: Clock
  readonly #ended = new LRUCache<string, true>({ max: MAX_ENDED })

  constructor(token: string, clock: Clock) {
    this.#tokenHash = sha256(token)
    this.#key = new Uint8Array(hkdfSync('sha256', token, '', 'catbird console session', KEY_BYTES))
    this.#clock = clock
  }

  /** Takes the same time wherever the texts differ. */
  isToken(text: string): boolean {
    return timingSafeEqual(sha256(text), this.#tokenHash)
  }

  begin(): Promise<string> {
    return this.#sign(randomUUID(), this.#nowS())
  }

  /** The session that a cookie carries, undefined when it is none or over. */
  async read(cookie: string): Promise<Session | undefined> {
    try {
      const { payload } = await jwtVerify(cookie, this.#key, {
        algorithms: ['HS256'],
        audience: AUDIENCE,
        requiredClaims: ['jti', 'iat', 'exp', 'auth_time'],
        currentDate: new Date(this.#clock.now()),
      })
      const session = { id: payload.jti!, startedAtS: Number(payload.auth_time), signedAtS: payload.iat! }
      return this.#ended.has(session.id) ? undefined : session
    } catch {
      return undefined
    }
  }

  /** A cookie for the same session that is good for longer, undefined while the one it has will do. */
  async renew({ id, startedAtS, signedAtS }: Session): Promise<string | undefined> {
    const isFresh = this.#nowS() - signedAtS < RENEW_AFTER_S
    return isFresh ? undefined : this.#sign(id, startedAtS)
  }

  /** Nobody's cookie of this session is good for anything from now on, in this process. */
  end({ id }: Session): void {
    this.#ended.set(id, true)
  }

  #sign(id: string, startedAtS: number): Promise<string> {
    const nowS = this.#nowS()
    return new SignJWT({ auth_time: startedAtS })
      .setProtectedHeader({ alg: 'HS256' })
      .setJti(id)
      .setAudience(AUDIENCE)
      .setIssuedAt(nowS)
      .setExpirationTime(Math.min(nowS + IDLE_S, startedAtS + LONGEST_S))
      .sign(this.#key)
  }

  #nowS(): number {
    return Math.floor(this.#clock.now() / 1000)
  }
}
