import { describe, expect, it } from 'vitest'
import { Random } from '../engine/random.ts'
import { arrivalTimes } from './arrivals.ts'

const times = (kind: 'constant' | 'poisson', perSecond: number, durationMs: number) => {
  const random = new Random(7)
  return [...arrivalTimes(kind, perSecond, durationMs, () => random.next())]
}

describe('arrivals', () => {
  it('come at equal distances, as many as the rate says, and none at the end', () => {
    expect(times('constant', 4, 1000)).toEqual([0, 250, 500, 750])
    expect(times('constant', 300, 2000)).toHaveLength(600)
  })

  it('of a crowd come in order, about as many as the rate says, at exponential distances', () => {
    const crowd = times('poisson', 1000, 20_000)
    expect(Math.abs(crowd.length - 20_000)).toBeLessThan(500)
    const distances = crowd.map((ms, i) => ms - (crowd[i - 1] ?? 0))
    expect(Math.min(...distances)).toBeGreaterThanOrEqual(0)
    expect(crowd.at(-1)).toBeLessThan(20_000)
    // Of an exponential distribution 1/e lie above the mean, and a fiftieth above four times the mean.
    const above = (ms: number) => distances.filter((distance) => distance > ms).length / distances.length
    expect(above(1)).toBeCloseTo(Math.exp(-1), 1)
    expect(above(4)).toBeCloseTo(Math.exp(-4), 2)
  })

  it('of a load without an end come one by one', () => {
    const endless = arrivalTimes('constant', 1000, Infinity, Math.random)
    expect([endless.next().value, endless.next().value, endless.next().value]).toEqual([0, 1, 2])
  })
})
