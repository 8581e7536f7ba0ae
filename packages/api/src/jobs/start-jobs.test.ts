import { QueryTimer } from '@catbird/shared/query-timer'
import { RenewablePool } from '@catbird/shared/renewable-pool'
import { openPool } from '@catbird/shared/sql'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { expect, it, onTestFinished, vi } from 'vitest'
import { eventually } from '../../../../tests/support/eventually.ts'
import { createTestDatabase } from '../../../../tests/support/postgres.ts'
import { Scrape } from '../../../../tests/support/scrape.ts'
import { writeHistory } from '../audit/history.fixture.ts'
import { FrontDatabase } from '../database/front-database.ts'
import { currentIncarnation } from '../database/incarnation.ts'
import { FrontMetrics } from '../metrics.ts'
import { startJobs } from './start-jobs.ts'

const MINUTE_MS = 60_000

it('the jobs of a server audit it a minute after its start, and say in its metrics what they found', async () => {
  const database = await createTestDatabase()
  const pool = new RenewablePool(() =>
    openPool(database.url, { max: 2, name: 'front', statementTimeoutMs: 5000 }),
  )
  const metrics = new FrontMetrics({ rolloutPercent: 100, isReady: () => true })
  onTestFinished(async () => {
    vi.useRealTimers()
    await pool.close()
    await database.drop()
  })
  await writeHistory(database.url)
  // The time of the change is that of the newest row, so that it is what is wrong and nothing else.
  await pool.current`update conversations set epoch = epoch + 1`
  const [{ newest }] = await pool.current<
    [{ newest: Date }]
  >`select max(last_at) as newest from conversations`
  const incarnation = await currentIncarnation(pool.current)
  vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval', 'Date'], now: newest.getTime() })
  const jobs = startJobs({
    database: new FrontDatabase(pool, new QueryTimer(new Registry())),
    databaseUrl: database.url,
    incarnation,
    health: { pulse: async () => {} } as never,
    blockedDids: { refresh: async () => {} } as never,
    upgrades: { pingNext() {} } as never,
    metrics,
    messageTtlMs: 30 * 24 * 60 * MINUTE_MS,
    onFatal: () => {},
    log: pino({ level: 'silent' }),
  })
  vi.advanceTimersByTime(MINUTE_MS)
  vi.useRealTimers()
  const scrape = async () => new Scrape(await metrics.render([]))
  await eventually('a completed audit', async () => {
    return (await scrape()).value('audit_completed_timestamp_seconds') > 0
  })
  expect((await scrape()).value('epoch_integrity_violations', { rule: 'head_mismatch' })).toBeGreaterThan(0)
  await jobs.stop(Date.now() + 5000)
})
