import { describe, expect, it } from 'vitest'
import { Deliveries } from './deliveries.ts'

describe('deliveries', () => {
  it('are measured from the acknowledgement; what came before it counts as 0', () => {
    const deliveries = new Deliveries()
    deliveries.arrived('a', 1, 90)
    deliveries.acknowledged('a', 1, 2, 100)
    deliveries.arrived('a', 1, 140)
    expect(deliveries.report(2)).toMatchObject({ streams: 2, expected: 2, missing: 0, p50: 0 })
    expect(deliveries.report(2).max).toBeCloseTo(40, 0)
  })

  it('that never came are missing, and those of messages that nobody acknowledged are not counted', () => {
    const deliveries = new Deliveries()
    deliveries.acknowledged('a', 1, 3, 100)
    deliveries.arrived('a', 1, 110)
    deliveries.arrived('b', 1, 110)
    deliveries.arrived('a', 2, 120)
    expect(deliveries.report(3)).toMatchObject({ expected: 3, missing: 2 })
  })
})
