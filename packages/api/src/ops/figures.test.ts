import type { ShardSample } from '@catbird/shared/shard-protocol'
import { describe, expect, it } from 'vitest'
import { figuresOf } from './figures.ts'

const BOUNDS = [0.001, 0.01, 0.1]

function sample(active: number, idle: number, commands: number, batchSeconds: number[]): ShardSample {
  return {
    activeActors: 3,
    mailboxDepth: 5,
    deepestMailbox: 4,
    eventLoop: { activeMs: active, idleMs: idle },
    heapUsedBytes: 10,
    heapLimitBytes: 40,
    commands,
    batches: {
      count: batchSeconds.length,
      rows: 2 * batchSeconds.length,
      seconds: batchSeconds.reduce((sum, seconds) => sum + seconds, 0),
      within: BOUNDS.map((seconds) => ({
        seconds,
        count: batchSeconds.filter((one) => one <= seconds).length,
      })),
    },
  }
}

describe('figuresOf', () => {
  it('tells what happened between two samples', () => {
    const before = sample(100, 100, 10, [0.05])
    const now = sample(400, 1000, 30, [0.05, 0.002, 0.004])
    expect(figuresOf(before, now, 2000)).toEqual({
      utilization: 0.25,
      commandsPerS: 10,
      mailbox: 5,
      actors: 3,
      batchRows: 2,
      batchMs: 3,
      heap: 0.25,
      deepestMailbox: 4,
      batchAtMostMs: 10,
      heapUsedBytes: 10,
      heapLimitBytes: 40,
    })
  })

  it('knows of no batch where there was none, and no bound of one that was slower than all', () => {
    const before = sample(0, 0, 0, [0.002])
    expect(figuresOf(before, sample(1, 1, 0, [0.002]), 2000)).toMatchObject({
      batchRows: null,
      batchMs: null,
      batchAtMostMs: null,
    })
    expect(figuresOf(before, sample(1, 1, 0, [0.002, 5]), 2000)).toMatchObject({
      batchMs: 5000,
      batchAtMostMs: null,
    })
  })

  it('counts anew what is another life of the thread', () => {
    const before = sample(1000, 1000, 500, [0.002, 0.002, 0.002])
    expect(figuresOf(before, sample(30, 10, 4, [0.002]), 2000)).toMatchObject({
      utilization: 0.75,
      commandsPerS: null,
      batchMs: 2,
    })
  })
})
