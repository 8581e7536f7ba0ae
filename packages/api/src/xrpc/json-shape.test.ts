import { describe, expect, it } from 'vitest'
import { shapeProblem } from './json-shape.ts'

const arrays = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const objects = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`

describe('the shape of a JSON text', () => {
  it('may be 32 levels deep and no deeper', () => {
    for (const nested of [arrays, objects]) {
      expect(shapeProblem(nested(32))).toBeUndefined()
      expect(shapeProblem(nested(33))).toMatch('32 levels')
      expect(shapeProblem(nested(5_000_000))).toMatch('32 levels')
    }
    expect(shapeProblem('['.repeat(33))).toMatch('32 levels')
  })

  it('counts levels, not brackets', () => {
    expect(shapeProblem(`[${'[],'.repeat(1000)}[]]`)).toBeUndefined()
  })

  it('does not look into strings, whatever is escaped there', () => {
    const deep = '['.repeat(100)
    for (const text of [deep, `\\"${deep}`, `\\\\\\"${deep}`, `${deep}\\\\`, `\\u005b${deep}`]) {
      expect(shapeProblem(`{"a":"${text}"}`), text).toBeUndefined()
    }
    expect(shapeProblem(`{"a":"\\\\",${deep}`)).toMatch('32 levels')
    expect(shapeProblem(`"\\\\\\\\"${deep}`)).toMatch('32 levels')
  })

  it('may have a hundred thousand values and no more', () => {
    const zeros = (count: number) => `[${Array.from({ length: count }, () => 0)}]`
    expect(shapeProblem(zeros(100_000))).toBeUndefined()
    expect(shapeProblem(zeros(100_001))).toMatch('100000 values')
    expect(shapeProblem(`[${'{},'.repeat(100_001)}{}]`)).toMatch('100000 values')
  })

  it('is no matter of what is no JSON at all', () => {
    for (const text of ['', '"', '"\\', '\\', ']]]]', '{"a', '\ud800', '"\ud800']) {
      expect(shapeProblem(text)).toBeUndefined()
    }
  })
})
