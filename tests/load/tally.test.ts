import { describe, expect, it } from 'vitest'
import { latencyOf } from './report.ts'
import { Tally } from './tally.ts'

const START_MS = 1000

/** A message that was due at the start, unless told otherwise. */
const sent = (doneMs: number, name = 'ok', dueMs = START_MS) =>
  ({ operation: 'send', name, dueMs, doneMs }) as const

describe('a tally', () => {
  it('gives the percentiles of a known distribution, to a thousandth', () => {
    const tally = new Tally(START_MS)
    for (let i = 1; i <= 10_000; i++) tally.done(sent(START_MS + i / 10))
    const { p50, p95, p99, max } = latencyOf(tally)
    const expected = { p50: 500, p95: 950, p99: 990, max: 1000 }
    for (const [name, ms] of Object.entries({ p50, p95, p99, max })) {
      const wanted = expected[name as keyof typeof expected]
      expect(Math.abs(ms - wanted), name).toBeLessThanOrEqual(wanted / 1000)
    }
    const buckets = tally.buckets.list(1)
    expect(buckets.map(({ fromMs, toMs, count }) => [fromMs, toMs, count])).toEqual([
      [0.1, 1, 9],
      [1, 10, 90],
      [10, 100, 900],
      [100, 1000, 9000],
      [1000, 10_000, 1],
    ])
  })

  it('measures from when a request was due', () => {
    const tally = new Tally(START_MS)
    tally.done(sent(START_MS + 1500, 'ok', START_MS + 500))
    expect(latencyOf(tally).max).toBeCloseTo(1000, -1)
  })

  it('counts errors by name, apart from the refusals that belong to the load, and gives them no latency', () => {
    const tally = new Tally(START_MS)
    for (const name of ['ok', 'EpochMismatch', 'Overloaded', 'Overloaded', 'Timeout']) {
      tally.offer()
      tally.done(sent(START_MS + 10, name))
    }
    tally.fail('NotSent', 3)
    tally.fail('StreamLost', 0)
    expect(Object.fromEntries(tally.accepted)).toEqual({ send: 1 })
    expect(Object.fromEntries(tally.refused)).toEqual({ EpochMismatch: 1 })
    expect(Object.fromEntries(tally.errors)).toEqual({ Overloaded: 2, Timeout: 1, NotSent: 3 })
    expect(tally.latency.totalCount).toBe(2)
    expect(tally.endSecond()).toMatchObject({ offered: 5, accepted: 1, refused: 1, errors: 3 })
    expect(tally.endSecond()).toMatchObject({ offered: 0, accepted: 0, errors: 0, p99: undefined })
  })

  it('knows the longest time without an answer, to its end, and for writes alone', () => {
    const tally = new Tally(START_MS)
    tally.done(sent(START_MS + 100))
    tally.done({ operation: 'getEpoch', name: 'ok', dueMs: START_MS, doneMs: START_MS + 700 })
    // Errors are no answers.
    tally.done(sent(START_MS + 900, 'Overloaded'))
    tally.done(sent(START_MS + 1000, 'EpochMismatch'))
    expect(tally.silences(START_MS + 1100)).toEqual({ any: 600, writes: 900 })
    expect(tally.silences(START_MS + 3000)).toEqual({ any: 2000, writes: 2000 })
    tally.done(sent(START_MS + 2900, 'RateLimitExceeded'))
    expect(tally.silences(START_MS + 3000)).toEqual({ any: 1900, writes: 1900 })
  })
})
