import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres, { type Sql } from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { migrate } from './migrate.ts'

let database: TestDatabase
let directory: string
let sql: Sql
/** Names a schema, so that the project's own migrations are out of the way. */
let url: string

beforeEach(async () => {
  database = await createTestDatabase()
  directory = mkdtempSync(join(tmpdir(), 'catbird-migrations-'))
  sql = postgres(database.url, { max: 1 })
  const inSchema = new URL(database.url)
  inSchema.searchParams.set('search_path', 'one')
  url = inSchema.href
  write('0001_first.sql', 'create table first (id int); insert into first values (1);')
  write('schema.sql', 'this is not a migration')
})

afterEach(async () => {
  await sql.end()
  await database.drop()
  rmSync(directory, { recursive: true })
})

function write(name: string, text: string): void {
  writeFileSync(join(directory, name), text)
}

describe('migrate', () => {
  it('applies what is new, in order, and returns the names', async () => {
    write('0002_second.sql', 'alter table first add column more int;')
    expect(await migrate(url, { directory })).toEqual(['0001_first', '0002_second'])
    write('0010_tenth.sql', 'create table tenth (id int);')
    expect(await migrate(url, { directory })).toEqual(['0010_tenth'])
    expect(await migrate(url, { directory })).toEqual([])
    expect(await sql`select * from one.first`).toMatchObject([{ id: 1, more: null }])
  })

  it('runs once when two processes start at once', async () => {
    write('0002_slow.sql', 'select pg_sleep(0.2); insert into first values (2);')
    const applied = await Promise.all([1, 2, 3].map(() => migrate(url, { directory })))
    expect(applied.flat()).toEqual(['0001_first', '0002_slow'])
    expect(await sql`select id from one.first order by id`).toMatchObject([{ id: 1 }, { id: 2 }])
  })

  it('gives up when another process migrates for too long', async () => {
    write('0002_slow.sql', 'select pg_sleep(0.6);')
    const slow = migrate(url, { directory })
    await expect
      .poll(
        () =>
          sql`select from pg_stat_activity where query like '%pg_sleep(0.6)%' and pid <> pg_backend_pid()`,
      )
      .toHaveLength(1)
    await expect(migrate(url, { directory, lockTimeoutMs: 100 })).rejects.toThrow(
      'Another process has been migrating this database for 0.1 s',
    )
    await slow
  })

  it('applies all or nothing', async () => {
    write('0002_broken.sql', 'create table second (id int); select 1 / 0;')
    await expect(migrate(url, { directory })).rejects.toThrow(/division by zero/)
    expect(await sql`select from pg_tables where tablename in ('first', 'second')`).toHaveLength(0)
  })

  it('refuses a migration that is older than one that has run', async () => {
    write('0003_third.sql', 'select 1;')
    await migrate(url, { directory })
    write('0002_late.sql', 'select 1;')
    await expect(migrate(url, { directory })).rejects.toThrow(/0002_late is preceding/)
  })

  it("lets the previous version start on a newer version's database", async () => {
    write('0002_newer.sql', 'select 1;')
    await migrate(url, { directory })
    rmSync(join(directory, '0002_newer.sql'))
    expect(await migrate(url, { directory })).toEqual([])
  })
})
