import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, openSql, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { blockDid, unblockDid } from '../admin/blocks.ts'
import { BlockedDids } from './blocked-dids.ts'

const EVE = 'did:plc:eve'

describe('BlockedDids', () => {
  let database: TestDatabase
  let sql: ReturnType<typeof openSql>
  beforeAll(async () => {
    database = await createTestDatabase()
    sql = openSql(database.url)
  })
  afterAll(async () => {
    await sql.end()
    await database.drop()
  })

  it('knows whom operators block and unblock from the next refresh on', async () => {
    const blocked = new BlockedDids((_name, run) => run(sql))
    await blockDid(sql, EVE)
    expect(blocked.has(EVE)).toBe(false)
    await blocked.refresh()
    expect(blocked.has(EVE)).toBe(true)
    expect(blocked.has('did:plc:alice')).toBe(false)
    await unblockDid(sql, EVE)
    await blocked.refresh()
    expect(blocked.has(EVE)).toBe(false)
  })

  it('keeps whom it knows while the database is away', async () => {
    await blockDid(sql, EVE)
    let pool = sql
    const blocked = new BlockedDids((_name, run) => run(pool))
    await blocked.refresh()
    pool = openSql(database.url)
    await pool.end()
    await expect(blocked.refresh()).rejects.toThrow()
    expect(blocked.has(EVE)).toBe(true)
    pool = sql
    await unblockDid(sql, EVE)
    await blocked.refresh()
    expect(blocked.has(EVE)).toBe(false)
  })

  it('is not put back by a refresh that comes in after a later one', async () => {
    await blockDid(sql, EVE)
    const holder = openSql(database.url)
    const reader = openSql(database.url)
    let pool = reader
    const blocked = new BlockedDids((_name, run) => run(pool))
    const backend = (await reader`select pg_backend_pid() as pid`)[0]!.pid
    let early: Promise<void> | undefined
    await holder.begin(async (transaction) => {
      await transaction`delete from blocked_dids`
      await transaction`lock table blocked_dids in access exclusive mode`
      early = blocked.refresh()
      await untilWaiting(sql, backend)
      pool = transaction as unknown as typeof sql
      await blocked.refresh()
      await transaction`insert into blocked_dids (did) values (${EVE})`
    })
    await early
    expect(blocked.has(EVE)).toBe(false)
    await Promise.all([holder.end(), reader.end()])
  })
})

async function untilWaiting(sql: ReturnType<typeof openSql>, pid: number): Promise<void> {
  for (;;) {
    const [row] = await sql`select cardinality(pg_blocking_pids(${pid})) > 0 as waits`
    if (row!.waits) return
  }
}
