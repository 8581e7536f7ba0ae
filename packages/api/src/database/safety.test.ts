import postgres, { type Sql } from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase } from '../../../../tests/support/postgres.ts'
import type { RunningDatabase } from './embedded-postgres.ts'
import { checkDatabase, UnsafeDatabaseError } from './safety.ts'
import { startTemporaryPostgres } from './temporary-postgres.ts'

const quiet = () => {}
const logger = { info: quiet, warn: quiet, error: quiet }

async function problemsOf(sql: Sql, connectionsNeeded = 5): Promise<string[]> {
  try {
    await checkDatabase(sql, connectionsNeeded)
  } catch (error) {
    if (error instanceof UnsafeDatabaseError) return error.problems.map((problem) => problem.split(' ')[0]!)
    throw error
  }
  return []
}

describe('checkDatabase', () => {
  let unsafe: RunningDatabase

  beforeAll(async () => {
    const settings = {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      default_transaction_read_only: 'off',
      max_connections: '10',
    }
    unsafe = await startTemporaryPostgres(logger, settings)
  })

  afterAll(() => unsafe?.stop())

  it('accepts a database with the default settings', async () => {
    const database = await createTestDatabase()
    const sql = postgres(database.url, { max: 1 })
    expect(await problemsOf(sql)).toEqual([])
    await sql.end()
    await database.drop()
  })

  it('lists every unsafe setting by name in one error', async () => {
    const sql = postgres(unsafe.url, { max: 1, connection: { default_transaction_read_only: true } })
    expect(await problemsOf(sql, 100)).toEqual([
      'fsync',
      'full_page_writes',
      'synchronous_commit',
      'default_transaction_read_only',
      'max_connections',
    ])
    await sql.end()
  })

  it('counts the connections that others hold, and not its own', async () => {
    const sql = postgres(unsafe.url, { max: 1, connection: { application_name: 'checker' } })
    // Three of the ten are kept for the superuser.
    expect(await problemsOf(sql, 7)).not.toContain('max_connections')
    const other = postgres(unsafe.url, { max: 1 })
    await other`select 1`
    expect(await problemsOf(sql, 7)).toContain('max_connections')
    expect(await problemsOf(sql, 6)).not.toContain('max_connections')
    await Promise.all([sql.end(), other.end()])
  })

  it('minds the limits of the role and of the database', async () => {
    const sql = postgres(unsafe.url, { max: 1 })
    await sql`create role narrow login password 'narrow' connection limit 2`
    const url = new URL(unsafe.url)
    url.username = url.password = 'narrow'
    const narrow = postgres(url.href, { max: 1 })
    expect(await problemsOf(narrow, 2)).not.toContain('max_connections')
    expect(await problemsOf(narrow, 3)).toContain('max_connections')
    await Promise.all([sql.end(), narrow.end()])
  })
})
