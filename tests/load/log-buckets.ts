export type Bucket = { fromMs: number; toMs: number; count: number }

const PER_DECADE = 20
const LOWEST_MS = 0.1
const DECADES = 7

/** Counts latencies in buckets of equal width on a logarithmic scale, from 0.1 ms to 1000 s. */
export class LogBuckets {
  readonly #counts: number[] = new Array(PER_DECADE * DECADES).fill(0)

  add(ms: number): void {
    // The sum is a hair off: without the small number 10 ms would fall into the bucket below.
    const index = Math.floor(Math.log10(Math.max(ms, LOWEST_MS) / LOWEST_MS) * PER_DECADE + 1e-9)
    this.#counts[Math.min(index, this.#counts.length - 1)]!++
  }

  /** From the first bucket with a count to the last. `perDecade` divides 20. */
  list(perDecade = PER_DECADE): Bucket[] {
    const merged = PER_DECADE / perDecade
    const limitMs = (index: number) => Number((LOWEST_MS * 10 ** (index / perDecade)).toPrecision(3))
    const buckets = Array.from({ length: this.#counts.length / merged }, (_, i) => {
      const counts = this.#counts.slice(i * merged, (i + 1) * merged)
      return {
        fromMs: limitMs(i),
        toMs: limitMs(i + 1),
        count: counts.reduce((sum, count) => sum + count, 0),
      }
    })
    const first = buckets.findIndex(({ count }) => count > 0)
    return first < 0 ? [] : buckets.slice(first, buckets.findLastIndex(({ count }) => count > 0) + 1)
  }
}
