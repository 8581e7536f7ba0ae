import { openPool, type Pool, type Sql } from '@catbird/shared/sql'
import { afterAll, beforeAll } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { type AuditOptions, audit } from './audit.ts'
import { TTL_MS, writeHistory } from './history.fixture.ts'
import type { AuditReport, Rule } from './report.ts'

export type Plant = (sql: Sql) => Promise<unknown>

class Undo extends Error {}

/**
 * Makes a healthy database for a test file. The function it gives audits it after `plant` has been at it, and undoes
 * that: all in one transaction, with savepoints for the audit's own.
 */
export function useHealthyDatabase(): (plant: Plant, options?: AuditOptions) => Promise<AuditReport> {
  let database: TestDatabase
  let sql: Pool
  beforeAll(async () => {
    database = await createTestDatabase()
    await writeHistory(database.url)
    sql = openPool(database.url, { max: 1, name: 'audit', statementTimeoutMs: 5000 })
  })
  afterAll(async () => {
    await sql.end()
    await database.drop()
  })
  return async (plant, options) => {
    let report: AuditReport | undefined
    const undone = sql.begin(async (transaction) => {
      await plant(transaction)
      const begin = (_: string, run: (savepoint: Sql) => Promise<unknown>) => transaction.savepoint(run)
      report = await audit({ begin } as unknown as Pool, { messageTtlMs: TTL_MS, ...options })
      throw new Undo()
    })
    await undone.catch((error) => {
      if (!(error instanceof Undo)) throw error
    })
    return report!
  }
}

/** Runs statements as they are, in order. */
export function statements(...list: string[]): Plant {
  return async (sql) => {
    for (const statement of list) await sql.unsafe(statement)
  }
}

/** The rules that a report finds broken, in alphabetical order. */
export function brokenRules({ byRule }: AuditReport): Rule[] {
  const rules = Object.keys(byRule) as Rule[]
  return rules.filter((rule) => byRule[rule] > 0).sort()
}
