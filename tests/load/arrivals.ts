export const ARRIVALS = ['constant', 'poisson'] as const
export type Arrivals = (typeof ARRIVALS)[number]

/**
 * When requests are due, in ms from the start, ascending: at equal distances, or as a crowd of independent callers makes
 * them (exponential distances). What the server does has no influence on it.
 */
export function* arrivalTimes(
  kind: Arrivals,
  perSecond: number,
  durationMs: number,
  random: () => number,
): Generator<number, void, void> {
  const distanceMs = 1000 / perSecond
  let dueMs = 0
  for (let i = 0; ; i++) {
    if (kind === 'constant') dueMs = i * distanceMs
    else dueMs += -Math.log(1 - random()) * distanceMs
    if (dueMs >= durationMs) return
    yield dueMs
  }
}
