import { sha256Hex } from '@catbird/shared/bytes'
import type { Clock } from '@catbird/shared/clock'
import { LRUCache } from 'lru-cache'
import { RateLimiterRes } from 'rate-limiter-flexible'
import StoreAbstract from 'rate-limiter-flexible/lib/RateLimiterStoreAbstract.js'

/** Longer keys, such as two DIDs of the greatest length, are kept as hashes, so that the bound is one in bytes too. */
const MAX_KEY_LENGTH = 200

export type WindowOptions = {
  /** What one key may use in one window. */
  points: number
  windowS: number
  /** Beyond it the windows that were not used for longest are forgotten. */
  maxKeys: number
  clock: Clock
}

type Window = { used: number; startsAtMs: number; endsAtMs: number }

/** `wanted` is what would have been used, above the limit when refused; `used` is what is. */
type Taken = { wanted: number; used: number; leftMs: number; isFirst: boolean }

/**
 * Fixed windows in bounded memory: the library's own memory limiter keeps every key, and a timer for each. A
 * window begins with the first use of its key. What does not fit takes nothing, so that refused requests do not
 * eat what is left.
 */
export class FixedWindows extends StoreAbstract<Taken> {
  readonly #windows: LRUCache<string, Window>
  readonly #clock: Clock

  constructor({ points, windowS, maxKeys, clock }: WindowOptions) {
    super({ points, duration: windowS, keyPrefix: '' })
    // With `max` it would allocate for all keys at once.
    this.#windows = new LRUCache({ maxSize: maxKeys, sizeCalculation: () => 1 })
    this.#clock = clock
  }

  /** Keys in memory. */
  get size(): number {
    return this.#windows.size
  }

  override getKey(key: string | number): string {
    const text = String(key)
    return text.length > MAX_KEY_LENGTH ? sha256Hex(text) : text
  }

  protected override async _upsert(
    key: string,
    points: number,
    durationMs: number,
    isReplaced: boolean,
  ): Promise<Taken> {
    const nowMs = this.#clock.now()
    const open = isReplaced ? undefined : this.#open(key, nowMs)
    const window = open ?? { used: 0, startsAtMs: nowMs, endsAtMs: nowMs + (durationMs || Infinity) }
    const wanted = Math.max(0, window.used + points)
    if (isReplaced || wanted <= this.points) {
      window.used = wanted
      // Giving back opens no window.
      if (!open && points > 0) this.#add(key, window, nowMs)
    }
    return { wanted, used: window.used, leftMs: window.endsAtMs - nowMs, isFirst: !open }
  }

  protected override async _get(key: string): Promise<Taken | null> {
    const nowMs = this.#clock.now()
    const open = this.#open(key, nowMs)
    return open ? { wanted: open.used, used: open.used, leftMs: open.endsAtMs - nowMs, isFirst: false } : null
  }

  protected override async _delete(key: string): Promise<boolean> {
    return this.#windows.delete(key)
  }

  protected override _getRateLimiterRes(_key: string, _points: number, result: Taken): RateLimiterRes {
    const remaining = Math.max(0, this.points - result.used)
    return new RateLimiterRes(remaining, result.leftMs, result.wanted, result.isFirst)
  }

  /** Windows end in about the order of their last use: two looked at for each new one leave no pile of ended ones. */
  #add(key: string, window: Window, nowMs: number): void {
    for (let looked = 0; looked < 2; looked++) {
      const oldest = this.#windows.rvalues().next().value
      if (oldest && oldest.endsAtMs <= nowMs) this.#windows.pop()
    }
    this.#windows.set(key, window)
  }

  /** A window that begins in the future is from before the clock was set back: it would last too long. */
  #open(key: string, nowMs: number): Window | undefined {
    const window = this.#windows.get(key)
    return window && window.startsAtMs <= nowMs && nowMs < window.endsAtMs ? window : undefined
  }
}
