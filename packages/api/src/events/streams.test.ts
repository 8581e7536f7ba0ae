import { RenewablePool } from '@catbird/shared/renewable-pool'
import { openPool } from '@catbird/shared/sql'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Scrape } from '../../../../tests/support/scrape.ts'
import { FrontMetrics } from '../metrics.ts'
import { FakeConnection } from './connection.fixture.ts'
import { INCARNATION, LogFixture } from './log.fixture.ts'
import { waitingFrames } from './outbox.ts'
import { Streams } from './streams.ts'

const MIB = 2 ** 20

let log: LogFixture
let pool: RenewablePool
let streams: Streams
let metrics: FrontMetrics
beforeAll(async () => {
  log = await LogFixture.create(1)
})
afterAll(() => log.drop())
beforeEach(() => {
  pool = new RenewablePool(() => openPool(log.url, { max: 2, name: 'front', statementTimeoutMs: 5000 }))
  metrics = new FrontMetrics({ rolloutPercent: 100, isReady: () => true })
  streams = new Streams({
    pool,
    databaseUrl: log.url,
    incarnation: { incarnation: INCARNATION, tag: '0123456789ab' },
    maxStreams: 100,
    messageTtlMs: 86_400_000,
    isBlocked: () => false,
    metrics,
    log: pino({ level: 'silent' }),
  })
})
afterEach(async () => {
  streams.endAll()
  await streams.close()
  await pool.close()
})

let serial = 0
async function open(connection: FakeConnection): Promise<FakeConnection> {
  const did = `did:plc:reader${serial++}`
  const prepared = await streams.prepare({
    did,
    params: {},
    form: 'sse',
    requestId: 'r',
    deadlineMs: Date.now() + 5000,
  })
  prepared.start(connection)
  return connection
}

async function closes(reason: string): Promise<number> {
  return new Scrape(await metrics.render([])).value('stream_closes_total', { reason })
}

describe('all streams of a process', () => {
  it('lose the slowest when too much waits for them together, and no more than that takes', async () => {
    const [slowest, slow, quick] = [new FakeConnection(), new FakeConnection(), new FakeConnection()]
    for (const connection of [quick, slow, slowest]) await (await open(connection)).has('caughtUp')
    slow.backlog = MIB
    slowest.backlog = 2 * MIB
    const waiting = Buffer.alloc(129 * MIB)
    waitingFrames.add(waiting)
    try {
      await vi.waitFor(() => expect(slowest.isEnded).toBe(true), { timeout: 5000 })
      expect(slowest.infos.at(-1)).toBe('slow')
      expect([slow.isEnded, quick.isEnded]).toEqual([false, false])
      expect(await closes('slow')).toBe(1)
    } finally {
      waitingFrames.remove(waiting)
    }
  })

  it('stay when one of them fails, which is counted', async () => {
    const [failing, well] = [new FakeConnection(), new FakeConnection()]
    vi.spyOn(failing, 'send').mockImplementation(() => {
      throw new Error('a fault')
    })
    await (await open(well)).has('caughtUp')
    await open(failing)
    await vi.waitFor(() => expect(failing.isEnded).toBe(true), { timeout: 5000 })
    expect(await closes('failed')).toBe(1)
    expect(well.isEnded).toBe(false)
  })
})
