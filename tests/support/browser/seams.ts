import { expect } from 'vitest'

/** Of one writer no more is on its way at once. */
const MAX_REPEATS = 10

/**
 * Every seq from 1 on came, in order; nothing came again but where a stream took over from another, and there no more
 * than what was on its way.
 */
export function expectNothingMissed(
  seqs: readonly number[],
  { last, streams }: { last: number; streams: number },
): void {
  const runs = runsOf(seqs)
  const told = `came as ${JSON.stringify(runs)}`
  expect(runs.length, told).toBeLessThanOrEqual(streams)
  expect(runs[0]?.[0], told).toBe(1)
  expect(runs.at(-1)?.[1], told).toBe(last)
  for (const [i, [first]] of runs.slice(1).entries()) {
    const before = runs[i]![1]
    expect(first, told).toBeLessThanOrEqual(before + 1)
    expect(first, told).toBeGreaterThan(before - MAX_REPEATS)
  }
}

/** Positions as they came, parted wherever the next one does not follow: 1 2 3 3 4 is [1, 3] and [3, 4]. */
function runsOf(seqs: readonly number[]): [first: number, last: number][] {
  const runs: [number, number][] = []
  for (const seq of seqs) {
    const run = runs.at(-1)
    if (run && seq === run[1] + 1) run[1] = seq
    else runs.push([seq, seq])
  }
  return runs
}
