import { describe, expect, it } from 'vitest'
import { InflightBudget } from './inflight-budget.ts'

const MIB = 2 ** 20

describe('InflightBudget', () => {
  it('refuses what does not fit and takes it when something was given back', () => {
    const budget = new InflightBudget(10 * MIB)
    const first = budget.reserve(2 * MIB)
    expect(first).toBeDefined()
    expect(budget.reserve(2 * MIB)).toBeUndefined()
    first!()
    expect(budget.reserve(2 * MIB)).toBeDefined()
  })

  it('counts a share given back twice once', () => {
    const budget = new InflightBudget(10 * MIB)
    const first = budget.reserve(2 * MIB)!
    first()
    first()
    expect(budget.reserve(2 * MIB)).toBeDefined()
    expect(budget.reserve(2 * MIB)).toBeUndefined()
  })

  it('lets a single request through that is larger than the budget', () => {
    const budget = new InflightBudget(MIB)
    expect(budget.reserve(20 * MIB)).toBeDefined()
    expect(budget.reserve(0)).toBeUndefined()
  })
})
