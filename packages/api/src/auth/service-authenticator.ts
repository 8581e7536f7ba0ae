import type { Clock } from '@catbird/shared/clock'
import { LRUCache } from 'lru-cache'
import { AuthError } from './auth-error.ts'
import type { Authenticator, Caller } from './authenticator.ts'
import type { ReplayMemory } from './replay-memory.ts'
import {
  bearerToken,
  checkMethod,
  checkNotExpired,
  readServiceToken,
  type ServiceToken,
  type TokenRules,
} from './service-token.ts'
import { SIGNATURE_BYTES } from './signing-key.ts'
import type { KeyFinder, VerifyKey } from './verify-key.ts'

/** 40 MB at the most. */
const REMEMBERED_TOKENS = 10_000
/** Names this service in the document of its DID. */
const SERVICE_FRAGMENT = '#atproto_mls'

export type ServiceAuthenticatorOptions = {
  /** DIDs of this service. */
  audiences: readonly string[]
  enforceLxm: boolean
  maxLifetimeS: number
  keys: KeyFinder
  replays: ReplayMemory
  clock: Clock
  /** Whether a token for this method is good for one use only. */
  isProcedure(nsid: string): boolean
}

type Verified = Pick<ServiceToken, 'issuer' | 'lxm' | 'expiresAtMs'>

/** Accepts AT Protocol service tokens, signed with the key that the issuer's DID document names. */
export class ServiceAuthenticator implements Authenticator {
  readonly #options: ServiceAuthenticatorOptions
  readonly #rules: TokenRules
  /**
   * Tokens whose signature was checked, for queries only: what depends on time or method is checked anew. A key that
   * is taken out of its document meanwhile still counts for them, until they expire.
   */
  readonly #verified = new LRUCache<string, Verified>({ max: REMEMBERED_TOKENS })

  constructor(options: ServiceAuthenticatorOptions) {
    const { audiences, enforceLxm, maxLifetimeS } = options
    this.#options = options
    this.#rules = {
      audiences: new Set(audiences.flatMap((did) => [did, did + SERVICE_FRAGMENT])),
      enforceLxm,
      maxLifetimeS,
    }
  }

  async authenticate(authorization: string | undefined, nsid: string): Promise<Caller> {
    return this.authenticateToken(bearerToken(authorization), nsid)
  }

  async authenticateToken(token: string, nsid: string): Promise<Caller> {
    const isProcedure = this.#options.isProcedure(nsid)
    const nowMs = this.#options.clock.now()
    const known = isProcedure ? undefined : this.#verified.get(token)
    if (known) {
      checkNotExpired(known.expiresAtMs, nowMs)
      checkMethod(known.lxm, nsid, this.#rules.enforceLxm)
      return { did: known.issuer }
    }
    const read = readServiceToken(token, nsid, this.#rules, nowMs)
    await this.#checkSignature(read)
    const { issuer, tokenId, lxm, expiresAtMs } = read
    // Only now: a forger must not be able to use up the token of another.
    if (isProcedure) {
      return { did: issuer, useToken: () => this.#options.replays.use(issuer, tokenId, expiresAtMs) }
    }
    this.#verified.set(token, { issuer, lxm, expiresAtMs })
    return { did: issuer }
  }

  async #checkSignature(token: ServiceToken): Promise<void> {
    // Before the key is looked for: what cannot be a signature is worth no request to a resolver.
    if (token.signature.length !== SIGNATURE_BYTES) throw badSignature()
    const { keys } = this.#options
    const key = await keys.find(token.issuer)
    if (hasSigned(key, token)) return
    const renewed = await keys.refresh(token.issuer)
    if ((renewed ?? key).algorithm !== token.algorithm) {
      throw new AuthError('algorithm', 'alg is not that of the key of the account')
    }
    if (!renewed || !hasSigned(renewed, token)) throw badSignature()
  }
}

function hasSigned(key: VerifyKey, { algorithm, signed, signature }: ServiceToken): boolean {
  return key.algorithm === algorithm && key.verify(signed, signature)
}

function badSignature(): AuthError {
  return new AuthError('signature', 'the signature does not fit')
}
