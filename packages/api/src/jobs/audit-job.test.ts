import { randomUUID } from 'node:crypto'
import { openPool, type Pool, type Sql } from '@catbird/shared/sql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../../../../tests/support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { Scrape } from '../../../../tests/support/scrape.ts'
import { audit } from '../audit/audit.ts'
import { TTL_MS, writeHistory } from '../audit/history.fixture.ts'
import { RULES } from '../audit/report.ts'
import { FrontMetrics } from '../metrics.ts'
import { AuditJob } from './audit-job.ts'

const MINUTE_MS = 60_000
const LIMIT_MS = 20_000

let database: TestDatabase
let sql: Pool
/** When the newest of all changes was made, Unix ms. */
let newestMs: number
beforeAll(async () => {
  database = await createTestDatabase()
  await writeHistory(database.url)
  sql = open()
  const [row] = await sql<[{ newest: Date }]>`select max(last_at) as newest from conversations`
  newestMs = row.newest.getTime()
})
afterAll(async () => {
  await sql?.end()
  await database?.drop()
})

/** Others may be at work in the same database. */
const name = `audit ${randomUUID()}`
const open = () => openPool(database.url, { max: 1, name, statementTimeoutMs: 5000 })

/** A job of a server that was started so many minutes after the newest change. */
function newJob(startMinute: number) {
  const metrics = new FrontMetrics({ rolloutPercent: 100, isReady: () => true })
  const clock = { minute: startMinute, isAway: false, isLost: false }
  const errors: object[] = []
  const job = new AuditJob({
    open: () => {
      if (clock.isAway) throw new Error('the database is away')
      const pool = open()
      const begin = pool.begin.bind(pool)
      if (!clock.isLost) return pool
      return Object.assign(pool, {
        async begin(options: string, run: (transaction: Sql) => Promise<unknown>) {
          await begin(options, run as never)
          throw new Error('the connection is lost')
        },
      }) as never
    },
    violations: metrics.integrityViolations,
    onCompleted: (atMs) => metrics.auditCompleted(atMs),
    messageTtlMs: TTL_MS,
    clock: { now: () => newestMs + clock.minute * MINUTE_MS, sleep: async () => {} },
    log: { error: (fields: object) => void errors.push(fields) } as never,
  })
  const violations = async (rule = 'head_mismatch') =>
    new Scrape(await metrics.render([])).value('epoch_integrity_violations', { rule })
  const completedAtMs = async () =>
    1000 * new Scrape(await metrics.render([])).value('audit_completed_timestamp_seconds')
  return { job, clock, errors, violations, completedAtMs }
}

/** While the heads of all conversations say something else than their log. */
async function whileDamaged(run: () => Promise<void>): Promise<void> {
  await sql`update conversations set epoch = epoch + 1`
  try {
    await run()
  } finally {
    await sql`update conversations set epoch = epoch - 1`
  }
}

describe('the audit as a job', () => {
  it('counts nothing in a healthy database, and has every rule from the start', async () => {
    const { job, errors, violations, completedAtMs } = newJob(1)
    expect(await completedAtMs()).toBe(0)
    for (const rule of [...RULES, 'unique_index']) expect(await violations(rule), rule).toBe(0)
    await job.run(LIMIT_MS)
    for (const rule of RULES) expect(await violations(rule), rule).toBe(0)
    expect(errors).toEqual([])
    expect(await completedAtMs()).toBe(newestMs + MINUTE_MS)
  })

  it('counts what is wrong with conversations that changed within the hour before the start, and says so', async () => {
    await whileDamaged(async () => {
      const { job, errors, violations } = newJob(30)
      await job.run(LIMIT_MS)
      expect(await violations()).toBeGreaterThan(0)
      expect(errors).toMatchObject([{ violations: { head_mismatch: await violations() } }])
      expect(JSON.stringify(errors)).not.toMatch(/did:/)
      const late = newJob(100)
      await late.job.run(LIMIT_MS)
      expect(await late.violations()).toBe(0)
    })
  })

  it('leaves out what has not changed since its last run', async () => {
    const { job, clock, violations } = newJob(0)
    clock.minute = 5
    await job.run(LIMIT_MS)
    await whileDamaged(async () => {
      clock.minute = 10
      await job.run(LIMIT_MS)
      expect(await violations()).toBe(0)
    })
  })

  it('begins where it was after a run that failed', async () => {
    await whileDamaged(async () => {
      const { job, clock, violations } = newJob(0)
      Object.assign(clock, { minute: 5, isAway: true })
      await expect(job.run(LIMIT_MS)).rejects.toThrow('away')
      Object.assign(clock, { minute: 120, isAway: false })
      await job.run(LIMIT_MS)
      expect(await violations()).toBeGreaterThan(0)
    })
  })

  it('leaves alone what belongs to no conversation, which it would have to read as a whole', async () => {
    await sql`insert into key_packages (did, hash, identity, cipher_suite, bytes, last_resort, expires_at, created_at,
      consumed_by, consumed_at) select 'did:plc:x', 'ab', 'did:plc:x', 's', 'x', false, now(), now(), 'none', now()`
    const { job, errors } = newJob(0)
    await job.run(LIMIT_MS)
    expect(errors).toEqual([])
    expect((await audit(sql, { messageTtlMs: TTL_MS })).byRule.key_package_unsound).toBeGreaterThan(0)
    await sql`delete from key_packages where did = 'did:plc:x'`
  })

  it('counts what it has found although it could not end', async () => {
    await whileDamaged(async () => {
      const { job, clock, violations, completedAtMs } = newJob(0)
      clock.isLost = true
      await expect(job.run(LIMIT_MS)).rejects.toThrow('lost')
      expect(await violations()).toBeGreaterThan(0)
      expect(await completedAtMs()).toBe(0)
    })
  })

  it('ends at its limit also within a step that waits for the database', async () => {
    const { job } = newJob(0)
    const fault = await sql.begin(async (holder) => {
      await holder`lock table conversations in access exclusive mode`
      // Of itself the statement would end too, some seconds later, and say why.
      return job.run(200).catch((error: Error) => error.name)
    })
    expect(fault).toBe('TimeoutError')
  })

  it('ends with its next step when the server stops, and closes its connection', async () => {
    const { job } = newJob(0)
    job.stop()
    await expect(job.run(LIMIT_MS)).rejects.toThrow('the server is stopping')
    // The server ends what it was asked by the run before only when that has got its lock.
    await eventually('no connection but this one', async () => {
      const left = await sql`
        select from pg_stat_activity
        where pid <> pg_backend_pid() and application_name = ${`catbird-mls ${name}`}`
      return left.length === 0
    })
  })
})
