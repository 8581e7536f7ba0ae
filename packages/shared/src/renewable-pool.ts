import { type Pool, withDeadline } from './sql.ts'

class PoolDeadline extends Error {}

/**
 * A pool that can be given up. The driver waits for ever for a connection that has gone silent; a call past its
 * deadline gives the whole pool up instead, so that what hangs in it never answers a later call.
 */
export class RenewablePool {
  readonly #open: () => Pool
  #pool: Pool
  #calls = 0
  #isClosed = false

  constructor(open: () => Pool) {
    this.#open = open
    this.#pool = open()
  }

  /** Calls that are running. */
  get calls(): number {
    return this.#calls
  }

  get current(): Pool {
    return this.#pool
  }

  /**
   * Runs something on the pool; rejects with `onDeadline()` when it takes longer than `ms`.
   *
   * @param isLost says of an error that it took the only connection with it
   */
  async call<T>(
    run: (pool: Pool) => Promise<T>,
    ms: number,
    onDeadline: () => Error,
    isLost: (error: unknown) => boolean = () => false,
  ): Promise<T> {
    return this.use(async (pool) => {
      try {
        return await withDeadline(run(pool), ms, () => new PoolDeadline())
      } catch (error) {
        const isSilent = error instanceof PoolDeadline
        // Before this call counts as over: nobody may take a lost pool for a free one.
        if (isSilent || isLost(error)) this.renew(pool)
        throw isSilent ? onDeadline() : error
      }
    })
  }

  /** Runs something on the pool, for whoever watches the time. */
  async use<T>(run: (pool: Pool) => Promise<T>): Promise<T> {
    this.#calls++
    try {
      return await run(this.#pool)
    } finally {
      this.#calls--
    }
  }

  /** Gives a pool up, unless that was done already. */
  renew(lost: Pool): void {
    if (this.#isClosed || lost !== this.#pool) return
    this.#pool = this.#open()
    void lost.end({ timeout: 0 })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#pool.end({ timeout: 1 })
  }
}
