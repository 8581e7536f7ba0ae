import { openPool, type Pool } from '@catbird/shared/sql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { currentIncarnation } from './incarnation.ts'

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
      expect(new Set(seen).size).toBe(1)
    }
  })

  it('is another on another timeline', async () => {
    const before = await currentIncarnation(sql)
    await sql`update incarnations set timeline = timeline + 1`
    expect(await currentIncarnation(sql)).toBeGreaterThan(before)
  })
})
