import { openPool } from '@catbird/shared/sql'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { sharedSecret } from './shared-secret.ts'

let database: TestDatabase
let sql: ReturnType<typeof openPool>

beforeAll(async () => {
  database = await createTestDatabase()
  sql = openPool(database.url, { max: 4, name: 'test', statementTimeoutMs: 5000 })
})

afterAll(async () => {
  await sql.end()
  await database.drop()
})

it('gives all who ask at once the same 32 bytes, and other bytes under another name', async () => {
  const secrets = await Promise.all(Array.from({ length: 8 }, () => sharedSecret(sql, 'one')))
  expect(new Set(secrets.map((secret) => secret.toString('hex'))).size).toBe(1)
  expect(secrets[0]).toHaveLength(32)
  expect(await sharedSecret(sql, 'two')).not.toEqual(secrets[0])
})
