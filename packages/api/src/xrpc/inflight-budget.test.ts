import { describe, expect, it } from 'vitest'
import { InflightBudget } from './inflight-budget.ts'

const MIB = 2 ** 20

describe('InflightBudget', () => {
  it('refuses what would not fit beside what is there, and takes it when something was given back', () => {
    const budget = new InflightBudget(10 * MIB)
    const first = budget.admit(2 * MIB)!
    expect(first.charge(2 * MIB)).toBe(true)
    expect(budget.admit(2 * MIB)).toBeUndefined()
    first.release()
    expect(budget.admit(2 * MIB)).toBeDefined()
  })

  it('holds next to nothing for what is only announced', () => {
    const budget = new InflightBudget(10 * MIB)
    const idle = Array.from({ length: 100 }, () => budget.admit(2 * MIB))
    expect(idle).not.toContain(undefined)
    expect(budget.used).toBeLessThan(2 * MIB)
  })

  it('refuses bytes that no longer fit, and goes on holding those before them', () => {
    const budget = new InflightBudget(10 * MIB)
    const [first, second] = [budget.admit(2 * MIB)!, budget.admit(2 * MIB)!]
    expect(first.charge(2 * MIB)).toBe(true)
    expect(second.charge(MIB)).toBe(true)
    const { used } = budget
    expect(second.charge(MIB)).toBe(false)
    expect(budget.used).toBe(used)
    first.release()
    expect(second.charge(MIB)).toBe(true)
  })

  it('takes back everything that a request held, once', () => {
    const budget = new InflightBudget(10 * MIB)
    const other = budget.admit(0)!
    const { used } = budget
    const one = budget.admit(MIB)!
    for (let i = 0; i < 10; i++) one.charge(MIB / 10)
    one.release()
    expect(budget.used).toBe(used)
    one.release()
    expect(budget.used).toBe(used)
    other.release()
    expect(budget.used).toBe(0)
  })

  it('lets a single request through that is larger than the budget, and nobody beside it', () => {
    const budget = new InflightBudget(MIB)
    const large = budget.admit(20 * MIB)!
    expect(budget.admit(20 * MIB)).toBeUndefined()
    for (let i = 0; i < 20; i++) expect(large.charge(MIB)).toBe(true)
    expect(budget.admit(0)).toBeUndefined()
    large.release()
    expect(budget.used).toBe(0)
  })

  it('bounds the number of requests too', () => {
    const budget = new InflightBudget(MIB)
    let count = 0
    while (budget.admit(0)) count++
    expect(count).toBe(64)
  })

  it('gives one caller two fifths of all, and a request that is its only one as much as it needs', () => {
    const budget = new InflightBudget(40 * MIB)
    const open = (did: string) => {
      const admission = budget.admit(0)!
      admission.belongsTo(did)
      return admission
    }
    const [first, second, other] = [open('alice'), open('alice'), open('bob')]
    expect(first.charge(3 * MIB)).toBe(true)
    expect(second.charge(3 * MIB)).toBe(false)
    expect(second.charge(2 * MIB)).toBe(true)
    expect(other.charge(3 * MIB)).toBe(true)
    first.release()
    expect(second.charge(5 * MIB)).toBe(true)
  })

  it('holds answers until they have been taken, and nothing for whoever has gone', () => {
    const budget = new InflightBudget(10 * MIB)
    const one = budget.admit(0)!
    one.belongsTo('alice')
    expect(one.chargeAnswer(9 * MIB)).toBe(true)
    expect(budget.admit(2 * MIB)).toBeUndefined()
    one.release()
    expect(one.chargeAnswer(9 * MIB)).toBe(true)
    expect(budget.used).toBe(0)
  })
})
