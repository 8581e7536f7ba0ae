import { RateLimiterRes } from 'rate-limiter-flexible'
import { FixedWindows, type WindowOptions } from './fixed-windows.ts'
import { type LimitState, RateLimitError } from './limit-state.ts'

/** One limit, for any number of keys that know nothing of each other. */
export class Limiter {
  readonly #windows: FixedWindows
  readonly #what: string

  /** @param what it counts, for those who are refused */
  constructor(what: string, options: WindowOptions) {
    this.#what = what
    this.#windows = new FixedWindows(options)
  }

  get limit(): number {
    return this.#windows.points
  }

  /** Takes all of the points or, when they do not fit into what is left, none: it throws a `RateLimitError` then. */
  async take(key: string, points = 1): Promise<LimitState> {
    try {
      return this.#state(await this.#windows.consume(key, points))
    } catch (thrown) {
      throw thrown instanceof RateLimiterRes ? new RateLimitError(this.#what, this.#state(thrown)) : thrown
    }
  }

  /** Counts what has happened already, up to the limit. */
  async count(key: string): Promise<LimitState> {
    return this.#state(await this.#windows.penalty(key))
  }

  /** Takes nothing, but throws a `RateLimitError` when nothing is left. */
  async check(key: string): Promise<void> {
    const found = await this.#windows.get(key)
    if (found && found.remainingPoints === 0) throw new RateLimitError(this.#what, this.#state(found))
  }

  async giveBack(key: string, points = 1): Promise<void> {
    await this.#windows.reward(key, points)
  }

  #state({ remainingPoints, msBeforeNext }: RateLimiterRes): LimitState {
    return {
      limit: this.limit,
      remaining: remainingPoints,
      resetS: Math.max(1, Math.ceil(msBeforeNext / 1000)),
      windowS: this.#windows.duration,
    }
  }
}
