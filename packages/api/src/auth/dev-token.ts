import { isValidDid } from '@atproto/syntax'
import { RefusalError } from '@catbird/shared/errors'
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Authenticator } from './authenticator.ts'

/** Development tokens live at most this long. */
const MAX_LIFETIME_S = 24 * 60 * 60
const CLOCK_SKEW_S = 30
/** No token of ours comes near; longer ones are not worth parsing. */
const MAX_TOKEN_LENGTH = 4096
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

  async authenticate(authorization: string | undefined, nsid: string): Promise<{ did: string }> {
    const token = bearerToken(authorization)
    const { iss, exp, lxm } = this.#verified.get(token) ?? (await this.#verify(token))
    if (exp! + CLOCK_SKEW_S <= Date.now() / 1000) throw expired()
    if (!iss || !isValidDid(iss)) throw new RefusalError('InvalidToken', 'iss must be a DID')
    if (exp! - Date.now() / 1000 > MAX_LIFETIME_S + CLOCK_SKEW_S) {
      throw new RefusalError('InvalidToken', 'the token lives too long', { maxLifetimeS: MAX_LIFETIME_S })
    }
    if (lxm !== undefined && lxm !== nsid) {
      throw new RefusalError('BadJwtLexiconMethod', 'the token is for another method')
    }
    return { did: iss }
  }

  async #verify(token: string): Promise<JWTPayload> {
    if (!this.#secret) throw new RefusalError('InvalidToken', 'tokens of this kind are not accepted here')
    try {
      const { payload } = await jwtVerify(token, this.#secret, {
        algorithms: ['HS256'],
        audience: [...this.#audiences],
        requiredClaims: ['iss', 'aud', 'exp'],
        clockTolerance: CLOCK_SKEW_S,
      })
      this.#verified.set(token, payload)
      return payload
    } catch (error) {
      throw toRefusal(error)
    }
  }
}

function bearerToken(authorization: string | undefined): string {
  if (!authorization) throw new RefusalError('AuthenticationRequired', 'a bearer token is required')
  const token = /^Bearer ([\w.~+/=-]+)$/i.exec(authorization)?.[1]
  if (!token || token.length > MAX_TOKEN_LENGTH) {
    throw new RefusalError('InvalidToken', 'the Authorization header is not a bearer token')
  }
  return token
}

function expired(): RefusalError {
  return new RefusalError('ExpiredToken', 'the token has expired')
}

function toRefusal(error: unknown): RefusalError {
  if (error instanceof errors.JWTExpired) return expired()
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return new RefusalError('BadJwtSignature', 'the signature does not fit')
  }
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'aud') {
    return new RefusalError('BadJwtAudience', 'the token is for another service')
  }
  if (error instanceof errors.JOSEError) return new RefusalError('InvalidToken', 'the token is not valid')
  throw error
}
