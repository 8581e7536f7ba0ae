import { describe, expect, it } from 'vitest'
import { LogCap } from './log-cap.ts'
import type { LogLine } from './shard-protocol.ts'

describe('LogCap', () => {
  it('lets 20 lines of a kind through per second and then says how many it left out', () => {
    let now = 5000
    const lines: LogLine[] = []
    const cap = new LogCap({ now: () => now, sleep: async () => {} }, (line) => lines.push(line))
    for (let i = 0; i < 50; i++) cap.line('epoch', 'info', `line ${i}`, {})
    cap.line('other', 'info', 'another kind', {})
    expect(lines.length).toBe(21)
    now = 6000
    cap.line('epoch', 'info', 'next second', {})
    expect(lines.slice(21).map(({ message, fields }) => ({ message, fields }))).toEqual([
      { message: 'Lines were suppressed', fields: { kind: 'epoch', suppressed: 30 } },
      { message: 'next second', fields: {} },
    ])
  })
})
