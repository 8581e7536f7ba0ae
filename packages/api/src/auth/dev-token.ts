import { isValidDid } from '@atproto/syntax'
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import { AuthError, type AuthFailure } from './auth-error.ts'
import type { Authenticator, Caller } from './authenticator.ts'
import { bearerToken, CLOCK_SKEW_MS, checkMethod, checkNotExpired } from './service-token.ts'

/** Development tokens live at most this long. */
const MAX_LIFETIME_S = 24 * 60 * 60
/** 40 MB at the most; checking a signature again costs a quarter of a request's time. */
const REMEMBERED_TOKENS = 10_000

export type DevTokenClaims = { did: string; audience: string; lxm?: string; ttlSeconds: number }

/** Signs an HS256 token for development, as `npm run token` prints. */
export function signDevToken(secret: string, claims: DevTokenClaims): Promise<string> {
  const { did, audience, lxm, ttlSeconds } = claims
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT(lxm ? { lxm } : {})
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuer(did)
    .setAudience(audience)
    .setIssuedAt(now)
    .setExpirationTime(now + ttlSeconds)
    .sign(new TextEncoder().encode(secret))
}

/** Accepts HS256 tokens signed with the server's own secret. */
export class DevTokenAuthenticator implements Authenticator {
  readonly #secret: Uint8Array | undefined
  readonly #audiences: readonly string[]
  /** Claims of tokens whose signature and audience were checked; what depends on time or method is checked anew. */
  readonly #verified = new LRUCache<string, JWTPayload>({ max: REMEMBERED_TOKENS })

  /** @param secret without it every token is refused */
  constructor(secret: string | undefined, audiences: readonly string[]) {
    this.#secret = secret === undefined ? undefined : new TextEncoder().encode(secret)
    this.#audiences = audiences
  }

  async authenticate(authorization: string | undefined, nsid: string): Promise<Caller> {
    return this.authenticateToken(bearerToken(authorization), nsid)
  }

  async authenticateToken(token: string, nsid: string): Promise<Caller> {
    const { iss, exp, lxm } = this.#verified.get(token) ?? (await this.#verify(token))
    const nowMs = Date.now()
    const expiresAtMs = exp! * 1000 + CLOCK_SKEW_MS
    checkNotExpired(expiresAtMs, nowMs)
    if (!iss || !isValidDid(iss)) throw new AuthError('issuer', 'iss must be a DID')
    if (expiresAtMs - nowMs > MAX_LIFETIME_S * 1000 + 2 * CLOCK_SKEW_MS) {
      throw new AuthError('lifetime', 'the token lives too long', { maxLifetimeS: MAX_LIFETIME_S })
    }
    checkMethod(lxm, nsid, false)
    return { did: iss }
  }

  async #verify(token: string): Promise<JWTPayload> {
    if (!this.#secret) throw new AuthError('algorithm', 'tokens of this kind are not accepted here')
    try {
      const { payload } = await jwtVerify(token, this.#secret, {
        algorithms: ['HS256'],
        audience: [...this.#audiences],
        requiredClaims: ['iss', 'aud', 'exp'],
        clockTolerance: CLOCK_SKEW_MS / 1000,
      })
      this.#verified.set(token, payload)
      return payload
    } catch (error) {
      throw toAuthError(error)
    }
  }
}

const FAILURE_OF_CLAIM: Record<string, AuthFailure> = {
  iss: 'issuer',
  aud: 'audience',
  exp: 'expiry',
  iat: 'issued_at',
  nbf: 'issued_at',
}

function toAuthError(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return new AuthError('expired', 'the token has expired')
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return new AuthError('signature', 'the signature does not fit')
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return new AuthError('algorithm', 'alg must be HS256')
  if (error instanceof errors.JWTClaimValidationFailed) {
    const reason = FAILURE_OF_CLAIM[error.claim] ?? 'malformed'
    return new AuthError(reason, `the token's ${error.claim} is not acceptable`)
  }
  if (error instanceof errors.JOSEError) return new AuthError('malformed', 'the token is not valid')
  return error
}
