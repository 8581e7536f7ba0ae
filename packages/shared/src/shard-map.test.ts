import { describe, expect, it } from 'vitest'
import { isRolledOut, ShardMap } from './shard-map.ts'

const convoIds = Array.from({ length: 20_000 }, (_, i) => i.toString(16).padStart(32, '0'))

describe('ShardMap', () => {
  it('sends a conversation to the same shard every time', () => {
    const [one, two] = [new ShardMap(5), new ShardMap(5)]
    for (const convoId of convoIds.slice(0, 100)) expect(one.route(convoId)).toBe(two.route(convoId))
  })

  it('gives every shard about the same share', () => {
    const counts = new Array(4).fill(0)
    const map = new ShardMap(4)
    for (const convoId of convoIds) counts[map.route(convoId)]++
    for (const count of counts) expect(count / convoIds.length).toBeCloseTo(1 / 4, 1)
  })

  it.each([1, 2, 3, 7])(
    'moves about 1/(N+1) of the conversations, to the new shard only, from %i shards',
    (n) => {
      const [before, after] = [new ShardMap(n), new ShardMap(n + 1)]
      const moved = convoIds.filter((convoId) => before.route(convoId) !== after.route(convoId))
      for (const convoId of moved) expect(after.route(convoId)).toBe(n)
      expect(moved.length / convoIds.length).toBeCloseTo(1 / (n + 1), 1)
    },
  )
})

describe('isRolledOut', () => {
  it('takes about the given share, and keeps those that it took when the share grows', () => {
    const taken = (percent: number) => convoIds.filter((convoId) => isRolledOut(convoId, percent))
    expect(taken(0)).toEqual([])
    expect(taken(100).length).toBe(convoIds.length)
    expect(taken(10).length / convoIds.length).toBeCloseTo(0.1, 1)
    const half = new Set(taken(50))
    for (const convoId of taken(10)) expect(half.has(convoId)).toBe(true)
  })
})
