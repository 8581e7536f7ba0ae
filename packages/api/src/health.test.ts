import type { ShardStatus } from '@catbird/shared/shard-protocol'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Health, type HealthOptions } from './health.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

type Shard = NonNullable<HealthOptions['shards']>[number]

const never = () => new Promise<never>(() => {})
/** A pool whose every call takes this long. */
const answersAfter = (ms: number) => ({
  call: () => new Promise<never>((resolve) => setTimeout(() => resolve(undefined as never), ms)),
})
const heapOf = (percent: number) => () => ({ used_heap_size: percent, heap_size_limit: 100 })

function shardWith(heapPercent: number, shard = 0): Shard {
  const status = { activeActors: 3, mailboxDepth: 2, heapUsedBytes: heapPercent, heapLimitBytes: 100 }
  return { shard, state: 'up', status: async () => status as ShardStatus }
}
const silentShard = (shard = 0): Shard => ({ shard, state: 'up', status: never })

function newHealth(options: Partial<HealthOptions>): Health {
  return new Health({
    pool: answersAfter(0),
    shards: undefined,
    version: '1.2.3',
    isDraining: () => false,
    heap: heapOf(10),
    ...options,
  })
}

async function reportOf(options: Partial<HealthOptions>) {
  const report = newHealth(options).report()
  await vi.advanceTimersByTimeAsync(1000)
  return report
}

describe('health of the database', () => {
  it.each([
    [250, 'healthy'],
    [251, 'degraded'],
    [799, 'degraded'],
    [801, 'unhealthy'],
  ])('that answers after %i ms is %s, and so is the whole', async (ms, status) => {
    const report = await reportOf({ pool: answersAfter(ms) })
    expect(report).toMatchObject({ status, checks: { database: status, memory: 'healthy' } })
  })

  it('that refuses is unhealthy', async () => {
    const pool = { call: () => Promise.reject(new Error('no')) }
    expect(await reportOf({ pool })).toMatchObject({ status: 'unhealthy', checks: { database: 'unhealthy' } })
  })
})

describe('health of the memory', () => {
  it.each([
    [85, 'healthy'],
    [86, 'degraded'],
    [95, 'degraded'],
    [96, 'unhealthy'],
  ])('that is full to %i % is %s, and so is the whole', async (percent, status) => {
    const report = await reportOf({ heap: heapOf(percent) })
    expect(report).toMatchObject({ status, checks: { memory: status, database: 'healthy' } })
  })

  it('is that of this thread unless told otherwise', async () => {
    expect((await reportOf({ heap: undefined })).checks.memory).toBe('healthy')
  })
})

describe('health of the shards', () => {
  const counts = { active_actors: 3, mailbox_depth: 2 }

  it('tells of one whose heap is nearly full', async () => {
    const { checks } = await reportOf({ shards: [shardWith(85, 0), shardWith(86, 1)] })
    expect(checks.actors?.shards).toEqual([
      { shard: 0, status: 'healthy', ...counts },
      { shard: 1, status: 'degraded', ...counts },
    ])
    expect(checks.actors?.active_actors).toBe(6)
  })

  it('is degraded while one of them is silent, and unhealthy when all are', async () => {
    const some = await reportOf({ shards: [shardWith(10, 0), silentShard(1)] })
    expect(some).toMatchObject({ status: 'degraded', checks: { actors: { status: 'degraded' } } })
    expect(some.checks.actors?.shards[1]).toEqual({ shard: 1, status: 'unhealthy' })
    const none = await reportOf({ shards: [silentShard(0), silentShard(1)] })
    expect(none).toMatchObject({ status: 'unhealthy', checks: { actors: { status: 'unhealthy' } } })
  })
})

describe('what hangs', () => {
  it.each(['report', 'readiness'] as const)(
    'never keeps the %s waiting for more than 800 ms',
    async (name) => {
      const answered = vi.fn()
      const health = newHealth({ pool: { call: never }, shards: [silentShard(0), silentShard(1)] })
      void health[name]().then(answered)
      await vi.advanceTimersByTimeAsync(799)
      expect(answered).not.toHaveBeenCalled()
      await vi.advanceTimersByTimeAsync(1)
      expect(answered).toHaveBeenCalledOnce()
    },
  )
})
