import type { Clock } from '@catbird/shared/clock'
import { LRUCache } from 'lru-cache'

export type RefreshLimits = {
  /** Between two forced looks at the same DID. */
  refreshEveryMs: number
  /** Forced looks at all DIDs together; as many at once after a pause. */
  refreshesPerSecond: number
}

/** Says whether a document may be looked at out of turn, which anyone can ask for with a bad signature. */
export class RefreshLimit {
  readonly #clock: Clock
  readonly #limits: RefreshLimits
  readonly #lastAt: LRUCache<string, number>
  #tokens: number
  #countedAt: number

  constructor(clock: Clock, limits: RefreshLimits) {
    this.#clock = clock
    this.#limits = limits
    this.#tokens = limits.refreshesPerSecond
    this.#countedAt = clock.now()
    // More than can be allowed within the interval, so that none is forgotten before its time.
    const max = Math.ceil(
      (limits.refreshesPerSecond * limits.refreshEveryMs) / 1000 + limits.refreshesPerSecond,
    )
    this.#lastAt = new LRUCache({ max })
  }

  allow(did: string): boolean {
    const { refreshEveryMs, refreshesPerSecond } = this.#limits
    const now = this.#clock.now()
    const lastAt = this.#lastAt.get(did)
    if (lastAt !== undefined && now < lastAt + refreshEveryMs) return false
    const earned = ((now - this.#countedAt) * refreshesPerSecond) / 1000
    this.#tokens = Math.min(refreshesPerSecond, this.#tokens + earned)
    this.#countedAt = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    this.#lastAt.set(did, now)
    return true
  }
}
