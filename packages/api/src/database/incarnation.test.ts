import { openPool, type Pool } from '@catbird/shared/sql'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { currentIncarnation, isSameLife } from './incarnation.ts'

let database: TestDatabase
let sql: Pool

beforeAll(async () => {
  database = await createTestDatabase()
  sql = openPool(database.url, { max: 10, name: 'test', statementTimeoutMs: 5000 })
})
afterAll(async () => {
  await sql.end()
  await database.drop()
})

describe('currentIncarnation', () => {
  it('is one and the same for servers that start at once', async () => {
    for (let round = 0; round < 20; round++) {
      await sql`delete from incarnations`
      const seen = await Promise.all(Array.from({ length: 10 }, () => currentIncarnation(sql)))
      expect(new Set(seen.map((life) => JSON.stringify(life))).size).toBe(1)
    }
  })

  it('is another on another timeline', async () => {
    const before = await currentIncarnation(sql)
    await sql`update incarnations set timeline = timeline + 1`
    expect(await isSameLife(sql, before)).toBe(false)
    const after = await currentIncarnation(sql)
    expect(after.incarnation).toBeGreaterThan(before.incarnation)
    expect(after.tag).not.toBe(before.tag)
    expect(await isSameLife(sql, after)).toBe(true)
  })

  it('is another in a copy of the database', async () => {
    const original = await currentIncarnation(sql)
    // Both are clones of one database.
    const copy = await createTestDatabase()
    const copySql = openPool(copy.url, { max: 1, name: 'test', statementTimeoutMs: 5000 })
    onTestFinished(async () => {
      await copySql.end()
      await copy.drop()
    })
    const rows = await sql`select * from incarnations`
    await copySql`insert into incarnations overriding system value
      select * from jsonb_populate_recordset(null::incarnations, ${copySql.json(rows as never)})`
    expect(await isSameLife(copySql, original)).toBe(false)
    expect(await isSameLife(sql, original)).toBe(true)
  })

  it('is another when the log is another table than before, as after a restore into the same database', async () => {
    const before = await currentIncarnation(sql)
    expect(await isSameLife(sql, before)).toBe(true)
    await sql`alter table log rename to log_of_before`
    await sql`create table log (like log_of_before)`
    expect(await isSameLife(sql, before)).toBe(false)
    expect((await currentIncarnation(sql)).incarnation).toBeGreaterThan(before.incarnation)
  })
})
