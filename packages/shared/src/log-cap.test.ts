import { describe, expect, it } from 'vitest'
import { LogCap } from './log-cap.ts'
import type { LogLine } from './shard-protocol.ts'

describe('LogCap', () => {
  it('lets 20 lines of a kind through per second, and says when it is over how many it left out', async () => {
    let now = 5000
    const over = Promise.withResolvers<void>()
    const lines: LogLine[] = []
    const cap = new LogCap({ now: () => now, sleep: () => over.promise }, (line) => lines.push(line))
    for (let i = 0; i < 50; i++) cap.line('epoch', 'info', `line ${i}`, {})
    cap.line('other', 'info', 'another kind', {})
    expect(lines.length).toBe(21)
    // Nothing of the kind need come for that.
    over.resolve()
    await over.promise
    const suppressed = { message: 'Lines were suppressed', fields: { kind: 'epoch', suppressed: 30 } }
    expect(lines.slice(21)).toEqual([{ level: 'info', ...suppressed }])
    now = 6000
    cap.line('epoch', 'info', 'next second', {})
    expect(lines.slice(22)).toEqual([{ level: 'info', message: 'next second', fields: {} }])
  })

  it('passes lines at the level debug on only where they are wanted, and then all of them', () => {
    for (const isDebug of [false, true]) {
      const lines: LogLine[] = []
      const cap = new LogCap({ now: () => 0, sleep: async () => {} }, (line) => lines.push(line), isDebug)
      for (let i = 0; i < 50; i++) cap.debug(`line ${i}`, {})
      expect(lines).toHaveLength(isDebug ? 50 : 0)
    }
  })
})
