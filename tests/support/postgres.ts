import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { databaseUrl, runOnServer } from './database-server.ts'

/** A database of its own for one test or one test file. */
export type TestDatabase = { url: string; drop(): Promise<void> }

/** Clones the migrated template: some 50 ms. `drop` also ends the sessions that are still open. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const { url, template } = inject('databaseServer')
  const name = `catbird_test_${randomBytes(8).toString('hex')}`
  await runOnServer(url, `create database ${name} template ${template}`)
  return {
    url: databaseUrl(url, name),
    drop: () => runOnServer(url, `drop database if exists ${name} with (force)`),
  }
}
