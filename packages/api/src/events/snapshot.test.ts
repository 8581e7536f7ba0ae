import { describe, expect, it } from 'vitest'
import { below, horizonOf, parseSnapshot, type Snapshot } from './snapshot.ts'

const shows = ({ xmax, xip }: Snapshot, id: number) => id < xmax && !xip.includes(id)

describe('snapshots', () => {
  it('are read from their text', () => {
    expect(parseSnapshot('10:20:10,14,19')).toEqual({ xmax: 20, xip: [10, 14, 19] })
    expect(parseSnapshot('20:20:')).toEqual({ xmax: 20, xip: [] })
  })

  it('have their horizon at the oldest transaction that was running, or else at the next one', () => {
    expect(horizonOf(parseSnapshot('10:20:10,14'))).toBe(10)
    expect(horizonOf(parseSnapshot('20:20:'))).toBe(20)
  })

  it('cut at a position show what they showed below it, and nothing else', () => {
    const whole = parseSnapshot('10:20:10,14,19')
    for (let position = 5; position < 25; position++) {
      const cut = below(position, whole)
      for (let id = 0; id < 25; id++) expect(shows(cut, id)).toBe(id < position && shows(whole, id))
    }
  })
})
