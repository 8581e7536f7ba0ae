/** The library exports its base class for stores in its types only, and without what a store has to implement. */
declare module 'rate-limiter-flexible/lib/RateLimiterStoreAbstract.js' {
  import type { RateLimiterRes, RateLimiterStoreAbstract } from 'rate-limiter-flexible'

  export default abstract class Store<Result> extends RateLimiterStoreAbstract {
    constructor(options: { points: number; duration: number; keyPrefix: string })
    protected abstract _upsert(
      key: string,
      points: number,
      durationMs: number,
      isReplaced: boolean,
    ): Promise<Result>
    protected abstract _get(key: string): Promise<Result | null>
    protected abstract _delete(key: string): Promise<boolean>
    protected abstract _getRateLimiterRes(key: string, points: number, result: Result): RateLimiterRes
  }
}
