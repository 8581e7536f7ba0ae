import { describe, expect, it } from 'vitest'
import { HotConvos } from './hot-convos.ts'

function startCounting(kept?: number) {
  const clock = { nowMs: 1_000_000, now: () => clock.nowMs, sleep: async () => {} }
  const hot = new HotConvos(clock, kept)
  const count = (convoId: string, times: number) => {
    for (let i = 0; i < times; i++) hot.count(convoId)
  }
  return { clock, hot, count }
}

describe('HotConvos', () => {
  it('counts exactly while there are few conversations', () => {
    const { hot, count } = startCounting()
    count('0a', 3)
    count('0b', 5)
    count('0c', 1)
    expect(hot.top(2)).toEqual([
      { convoId: '0b', commands: 5, atMost: 5 },
      { convoId: '0a', commands: 3, atMost: 3 },
    ])
  })

  it('forgets what is more than a minute old, and not before', () => {
    const { clock, hot, count } = startCounting()
    count('0a', 3)
    clock.nowMs += 30_000
    count('0a', 2)
    clock.nowMs += 25_000
    expect(hot.top(1)).toMatchObject([{ commands: 5 }])
    clock.nowMs += 10_000
    expect(hot.top(1)).toMatchObject([{ commands: 2 }])
    clock.nowMs += 60_000
    expect(hot.top(1)).toEqual([])
  })

  it('keeps its memory bounded and finds the hot ones among very many', () => {
    const { clock, hot, count } = startCounting(50)
    for (let second = 0; second < 120; second++) {
      clock.nowMs += 1000
      for (let i = 0; i < 500; i++) {
        hot.count(`stranger ${second} ${i}`)
        if (i % 5 === 0) count('hot', 1)
        if (i % 10 === 0) count('warm', 1)
      }
    }
    expect(hot.size).toBeLessThanOrEqual(12 * 100)
    const [first, second] = hot.top(2)
    expect([first!.convoId, second!.convoId]).toEqual(['hot', 'warm'])
    for (const [{ commands, atMost }, really] of [
      [first!, 60 * 100],
      [second!, 60 * 50],
    ] as const) {
      // Windows are five seconds long.
      expect(commands).toBeLessThanOrEqual(really)
      expect(atMost).toBeGreaterThanOrEqual(really - 5 * 100)
    }
  })

  it('says by how much a count may be too low', () => {
    const { hot, count } = startCounting(2)
    count('0a', 10)
    for (const convoId of ['0b', '0c', '0d', '0e']) count(convoId, 2)
    const [first] = hot.top(1)
    expect(first!.convoId).toBe('0a')
    expect(first!.commands).toBeLessThan(10)
    expect(first!.atMost).toBeGreaterThanOrEqual(10)
  })
})
