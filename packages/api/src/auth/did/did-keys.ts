import { type Clock, systemClock } from '@catbird/shared/clock'
import { RefusalError } from '@catbird/shared/errors'
import { LRUCache } from 'lru-cache'
import { AuthError } from '../auth-error.ts'
import type { KeyFinder, VerifyKey } from '../verify-key.ts'
import { DocumentFetcher, type LookupLimits } from './document-fetcher.ts'
import { documentPlace, type PlaceOptions } from './document-place.ts'
import type { Fetch } from './public-fetch.ts'
import { readKey } from './read-key.ts'
import { RefreshLimit, type RefreshLimits } from './refresh-limit.ts'

export type KeyLimits = RefreshLimits & {
  /** How long a key is used without asking. */
  freshMs: number
  /** How long after it was seen a key is used while nobody answers. */
  staleMs: number
  /** How long it is remembered that a DID has no key. */
  refusedMs: number
  /** How long nobody is asked again after no answer came. */
  pauseMs: number
  /** How long after a failed lookup the next one is not waited for by those who can go on with a stale key. */
  outageMs: number
  maxKeys: number
  /** Kept apart from the keys, so that unknown DIDs cannot displace known ones. */
  maxRefusals: number
}

export const KEY_LIMITS: KeyLimits = {
  freshMs: 5 * 60_000,
  staleMs: 60 * 60_000,
  refusedMs: 30_000,
  pauseMs: 1000,
  outageMs: 10_000,
  refreshEveryMs: 30_000,
  refreshesPerSecond: 20,
  maxKeys: 100_000,
  maxRefusals: 20_000,
}

export type DidKeysOptions = PlaceOptions & {
  /** Throws on what is not a P-256 or secp256k1 Multikey. */
  toKey: (multikey: string) => VerifyKey
  clock?: Clock
  limits?: Partial<KeyLimits & LookupLimits>
  /** How hosts that strangers choose are asked. */
  fetchPublic?: Fetch
}

/**
 * The signing keys of accounts, from their DID documents.
 *
 * - A DID is in `#keys` or it has been refused by an answer (`AuthError` in `#refusals`), never both.
 * - What was answered last holds; that nobody answered only ever adds to what is known.
 * - At most one lookup per DID is under way.
 */
export class DidKeys implements KeyFinder {
  readonly #clock: Clock
  readonly #limits: KeyLimits
  readonly #places: PlaceOptions
  readonly #toKey: DidKeysOptions['toKey']
  readonly #documents: DocumentFetcher
  readonly #refreshLimit: RefreshLimit
  readonly #keys: LRUCache<string, { key: VerifyKey; seenAt: number }>
  readonly #refusals: LRUCache<string, { error: RefusalError; at: number }>
  readonly #lookups = new Map<string, Promise<VerifyKey>>()

  constructor(options: DidKeysOptions) {
    this.#clock = options.clock ?? systemClock
    this.#limits = { ...KEY_LIMITS, ...options.limits }
    this.#places = options
    this.#toKey = options.toKey
    this.#documents = new DocumentFetcher(options)
    this.#refreshLimit = new RefreshLimit(this.#clock, this.#limits)
    this.#keys = new LRUCache({ max: this.#limits.maxKeys })
    this.#refusals = new LRUCache({ max: this.#limits.maxRefusals })
  }

  async find(did: string): Promise<VerifyKey> {
    const { freshMs, staleMs, refusedMs, pauseMs, outageMs } = this.#limits
    const now = this.#clock.now()
    const known = this.#keys.get(did)
    if (known && now < known.seenAt + freshMs) return known.key
    const stale = known && now < known.seenAt + staleMs ? known.key : undefined

    const refused = this.#refusals.get(did)
    const sinceRefusalMs = refused ? now - refused.at : Number.POSITIVE_INFINITY
    if (refused && !stale) {
      if (sinceRefusalMs < (isUnavailable(refused.error) ? pauseMs : refusedMs)) throw refused.error
    } else if (stale && sinceRefusalMs < outageMs) {
      // Its outcome is for those who come next.
      if (sinceRefusalMs >= pauseMs) this.#lookUp(did).catch(() => {})
      return stale
    }
    try {
      return await this.#lookUp(did)
    } catch (error) {
      if (stale && isUnavailable(error)) return stale
      throw error
    }
  }

  async refresh(did: string): Promise<VerifyKey | undefined> {
    // A lookup that is under way costs nothing more.
    if (!this.#lookups.has(did) && !this.#refreshLimit.allow(did)) return undefined
    try {
      return await this.#lookUp(did)
    } catch (error) {
      if (isUnavailable(error)) return undefined
      throw error
    }
  }

  #lookUp(did: string): Promise<VerifyKey> {
    const running = this.#lookups.get(did)
    if (running) return running
    const lookup = this.#ask(did).finally(() => this.#lookups.delete(did))
    this.#lookups.set(did, lookup)
    return lookup
  }

  async #ask(did: string): Promise<VerifyKey> {
    // Not remembered when it throws: such a DID may be of any length, and costs nothing to refuse again.
    const place = documentPlace(did, this.#places)
    const seenAt = this.#clock.now()
    try {
      const key = readKey(did, await this.#documents.get(place), this.#toKey)
      this.#keys.set(did, { key, seenAt })
      this.#refusals.delete(did)
      return key
    } catch (error) {
      if (error instanceof RefusalError) this.#refusals.set(did, { error, at: this.#clock.now() })
      if (error instanceof AuthError) this.#keys.delete(did)
      throw error
    }
  }
}

function isUnavailable(error: unknown): boolean {
  return error instanceof RefusalError && error.refusal.error === 'IdentityUnavailable'
}
