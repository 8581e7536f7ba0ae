import { describe, expect, it } from 'vitest'
import { FIGURES, type ShardFigures } from './figures.ts'
import { SampleHistory } from './sample-history.ts'

const FRONT = { frontUtilization: 0.5, frontHeap: 0.1, actorMs: 2, directMs: null, directPerS: 0 }

function figures(value: number): ShardFigures {
  const all = Object.fromEntries(FIGURES.map((figure) => [figure, value]))
  return {
    ...all,
    deepestMailbox: 0,
    batchAtMostMs: null,
    heapUsedBytes: 1,
    heapLimitBytes: 2,
  } as ShardFigures
}

function historyOf(shards: number, max: number, samples: number) {
  const history = new SampleHistory(shards, max)
  for (let i = 1; i <= samples; i++) {
    const all = Array.from({ length: shards }, (_, shard) => figures(100 * i + shard))
    history.add({ ...FRONT, atMs: i }, all)
  }
  return history
}

describe('SampleHistory', () => {
  it('keeps no more than it is told to', () => {
    const history = historyOf(1, 5, 12)
    expect(history.size).toBe(5)
    expect(history.after(0)).toMatchObject({ last: 12, atMs: [8, 9, 10, 11, 12] })
  })

  it('answers what comes after a sample, and everything when that is gone or was never', () => {
    const history = historyOf(1, 5, 12)
    expect(history.after(10).atMs).toEqual([11, 12])
    expect(history.after(12).atMs).toEqual([])
    for (const number of [0, 3, 13, 100]) expect(history.after(number).atMs).toHaveLength(5)
  })

  it('draws a line for each shard, and a gap where one did not answer', () => {
    const history = historyOf(2, 5, 1)
    history.add({ ...FRONT, atMs: 2 }, [undefined, figures(7)])
    const { mailbox, utilization } = history.after(0).charts
    expect(mailbox).toEqual({
      names: ['shard 0', 'shard 1'],
      values: [
        [100, null],
        [101, 7],
      ],
    })
    expect(utilization.names).toEqual(['front', 'shard 0', 'shard 1'])
    expect(utilization.values[0]).toEqual([0.5, 0.5])
  })

  it('draws the lowest, the median and the highest of many shards', () => {
    const { mailbox } = historyOf(13, 5, 1).after(0).charts
    expect(mailbox).toEqual({
      names: ['lowest shard', 'median shard', 'highest shard'],
      values: [[100], [106], [112]],
    })
  })
})
