import { describe, expect, it } from 'vitest'
import { linearTicks, logarithmic, logTicks, path, text } from './svg.ts'

describe('pictures', () => {
  it('have readable ticks: 1, 2 and 5 of each decade, decades alone where there are many, round numbers', () => {
    expect(logTicks(2, 100)).toEqual([2, 5, 10, 20, 50, 100])
    expect(logTicks(0.1, 1000)).toEqual([0.1, 1, 10, 100, 1000])
    expect(linearTicks(6.2, 4)).toEqual([0, 2, 4, 6])
    expect(linearTicks(0.3, 3)).toEqual([0, 0.1, 0.2, 0.3])
    expect(linearTicks(0, 4)).toContain(0)
  })

  it('have scales on which a factor of ten is always as wide', () => {
    const x = logarithmic(1, 1000, 100, 400)
    expect([x(1), x(10), x(100), x(1000)].map(Math.round)).toEqual([100, 200, 300, 400])
    expect(x(0)).toBe(100)
  })

  it('interrupt lines where nothing was measured, and escape texts', () => {
    const line = path([[0, 1], [1, 1], undefined, [3, 1]], {})
    expect(line).toContain('d="M0 1h0L1 1M3 1h0"')
    expect(text(1, 2, 'a < b & "c"')).toContain('>a &lt; b &amp; &quot;c&quot;</text>')
  })
})
