import { describe, expect, it } from 'vitest'
import { asked, mustExist } from './promql.ts'

const names = (expression: string) => asked(expression).selectors.map(({ metric }) => metric)

describe('what a PromQL expression asks for', () => {
  it('are its metrics, not its functions, labels, texts, numbers or ranges', () => {
    const expression = `histogram_quantile(0.95, sum by (job, le) (rate(a_bucket{x="b_c{d}"}[5m])))
      > on (instance) group_left (zone) clamp_min(b:c offset 10m, 1e-9) and e unless sum without (f) (g) == bool inf`
    expect(names(expression)).toEqual(['a_bucket', 'b:c', 'e', 'g'])
    expect(asked(expression).labels).toEqual(['job', 'le', 'instance', 'zone', 'f'])
  })

  it('are their matchers, braces and commas in texts included', () => {
    const [selector] = asked('rate(a{b="x,}", c=~"d|e", f!="g"}[1m])').selectors
    expect(selector?.matchers).toEqual([
      { label: 'b', operator: '=', value: 'x,}' },
      { label: 'c', operator: '=~', value: 'd|e' },
      { label: 'f', operator: '!=', value: 'g' },
    ])
  })

  it('are all alternatives, and the labels of what is excluded', () => {
    const all = (expression: string) => asked(expression).selectors.flatMap((one) => mustExist(one))
    expect(all('a{b=~"c|d", e="f"}')).toEqual(['a{b="c", e="f"}', 'a{b="d", e="f"}'])
    expect(all('a{b=~"5.."}')).toEqual(['a{b=~"5.."}'])
    expect(all('a{b!="c"}')).toEqual(['a{b!="c", b!=""}'])
    expect(all('a')).toEqual(['a{}'])
  })

  it('are not all alternatives that the code knows', () => {
    const [selector] = asked('a{b=~"c|d"}').selectors
    expect(mustExist(selector!, (label, value) => label === 'b' && 'cd'.includes(value))).toEqual([
      'a{b=~"c|d"}',
    ])
    expect(mustExist(selector!, (_, value) => value === 'c')).toEqual(['a{b="c"}', 'a{b="d"}'])
  })
})
