import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/postgres.ts'
import { openPool, type Pool } from './sql.ts'

const TEXTS = [
  '',
  'a',
  'did:plc:alice',
  'with "quotes"',
  'back\\slash',
  '{braces}',
  'a,b',
  ' ',
  'null',
  'NULL',
  'ü✓\n\t',
]

describe('arrays', () => {
  let database: TestDatabase
  let sql: Pool
  beforeAll(async () => {
    database = await createTestDatabase()
    sql = openPool(database.url, { max: 1, name: 'test', statementTimeoutMs: 5000 })
  })
  afterAll(async () => {
    await sql.end()
    await database.drop()
  })

  it.each([[TEXTS], [[]], [['one']]])('of text go in and come out as they are: %j', async (texts) => {
    const [row] = await sql`
      select ${texts}::text[] as texts, array(select unnest(${texts}::text[])) as copy,
        coalesce(array_length(${texts}::text[], 1), 0) as length`
    expect(row).toEqual({ texts, copy: texts, length: texts.length })
  })

  it('of numbers too, which come out as text like single ones of that size', async () => {
    const [row] =
      await sql`select ${[1, 9007199254740991]}::bigint[] as numbers, 5 = any(${[4, 5]}::bigint[]) as is_in`
    expect(row).toEqual({ numbers: ['1', '9007199254740991'], is_in: true })
  })
})
