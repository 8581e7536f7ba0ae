import { openPool } from '@catbird/shared/sql'
import { describe, expect, it } from 'vitest'
import { createTestDatabase } from '../../../../tests/support/postgres.ts'
import { type AuditOptions, audit } from './audit.ts'
import { brokenRules, statements, useHealthyDatabase } from './damage.fixture.ts'
import { ALICE, DAY_MS, EXPIRED, History, TRACKED, UNTRACKED, writeHistory } from './history.fixture.ts'
import type { AuditReport } from './report.ts'

const auditAfter = useHealthyDatabase()

describe('audit', () => {
  it('finds nothing wrong with what the server writes, expired messages deleted', async () => {
    const report = await auditAfter(async (sql) => {
      const kept = await sql`select count(*)::integer as count from log where convo_id like ${`${EXPIRED}%`}`
      expect(kept).toEqual([{ count: 11 }])
    })
    expect(report.first).toEqual([])
    expect(report).toMatchObject({ violations: 0, conversations: 4, entries: 17 })
  })

  it('finds nothing in an empty database', async () => {
    const report = await auditDatabase(async () => {})
    expect(report).toMatchObject({ violations: 0, conversations: 0, entries: 0 })
  })

  it('finds damage in the one conversation that it is asked for, and in no other', async () => {
    const plant = statements(`update conversations set epoch = 99 where convo_id = '${TRACKED}'`)
    expect(brokenRules(await auditAfter(plant, { convoId: TRACKED }))).toEqual(['head_mismatch'])
    expect(await auditAfter(plant, { convoId: UNTRACKED })).toMatchObject({ violations: 0, conversations: 1 })
    expect(await auditAfter(plant, { convoId: 'ff' })).toMatchObject({ violations: 0, conversations: 0 })
  })

  it('leaves out what did not change since', async () => {
    const plant = statements(`update conversations set epoch = 99 where convo_id = '${EXPIRED}00'`)
    expect((await auditAfter(plant)).violations).toBe(1)
    const report = await auditAfter(plant, { sinceMs: Date.now() - 30 * DAY_MS })
    expect(report).toMatchObject({ violations: 0, conversations: 3 })
  })

  it('takes a hole for expired messages when the time to live that is configured now allows it', async () => {
    const plant = statements(`delete from log where convo_id = '${EXPIRED}' and seq = 9`)
    expect(brokenRules(await auditAfter(plant))).toEqual(['seq_gap'])
    expect((await auditAfter(plant, { messageTtlMs: 7 * DAY_MS })).violations).toBe(0)
  })

  it('takes a hole for expired messages when a neighbour has had so short a time to live', async () => {
    const shorten = `update log set expires_at = created_at + interval '7 days' where convo_id = '${EXPIRED}'`
    const drop = `delete from log where convo_id = '${EXPIRED}' and seq =`
    expect((await auditAfter(statements(`${shorten} and seq = 9`, `${drop} 8`))).violations).toBe(0)
    expect((await auditAfter(statements(`${shorten} and seq = 7`, `${drop} 8`))).violations).toBe(0)
  })

  it('tells the first twenty violations and counts all', async () => {
    const report = await auditAfter(
      (sql) => sql`
        insert into log (convo_id, n, kind, epoch, sender, entry_id, created_at, incarnation, pos)
        select 'f' || n, 1, 'created', 0, 's', gen_random_uuid(), now(), 1, 1
        from generate_series(1000, 2199) n`,
    )
    expect(report.first.length).toBe(20)
    expect(report.byRule.head_missing).toBe(1200)
  })

  it('reads a log of many pages, a transaction for each, and finds damage on the last', async () => {
    const options = { convoId: UNTRACKED, transactionMs: 0 }
    const write = async (url: string) => {
      await writeHistory(url)
      const history = new History(url, Date.now() - DAY_MS)
      for (let i = 0; i < 1100; i++) await history.send(UNTRACKED, ALICE, 1)
      await history.close()
    }
    const [healthy, damaged] = await auditTwice(write, options, [
      `update log set bytes = 'x' where convo_id = '${UNTRACKED}' and n = 1099`,
    ])
    expect(healthy).toMatchObject({ violations: 0, entries: 1105 })
    expect(brokenRules(damaged)).toEqual(['chain_broken'])
  })

  it('stops when it is told to', async () => {
    const reason = new Error('enough')
    const audited = auditDatabase(async () => {}, { signal: AbortSignal.abort(reason) })
    await expect(audited).rejects.toBe(reason)
  })
})

/** Audits a database of its own. */
async function auditDatabase(
  write: (url: string) => Promise<void>,
  options?: AuditOptions,
): Promise<AuditReport> {
  const [report] = await auditTwice(write, options, [])
  return report
}

/** The same, and once more after further statements. */
async function auditTwice(
  write: (url: string) => Promise<void>,
  options: AuditOptions | undefined,
  between: string[],
): Promise<[AuditReport, AuditReport]> {
  const database = await createTestDatabase()
  const sql = openPool(database.url, { max: 1, name: 'audit', statementTimeoutMs: 5000 })
  try {
    await write(database.url)
    const first = await audit(sql, options)
    await statements(...between)(sql)
    return [first, await audit(sql, options)]
  } finally {
    await sql.end()
    await database.drop()
  }
}
