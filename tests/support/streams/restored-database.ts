import { randomBytes } from 'node:crypto'
import { MIGRATIONS_TABLE, migrate } from '@catbird/api/database/migrate'
import postgres from 'postgres'
import { inject } from 'vitest'
import { databaseUrl, runOnServer } from '../database-server.ts'
import { createTestDatabase, type TestDatabase } from '../postgres.ts'

type Transaction = postgres.TransactionSql

/** A migrated database whose tables were made for it: a clone of the template has those of the template. */
export async function createNewDatabase(): Promise<TestDatabase> {
  const { url, template } = inject('databaseServer')
  // Of a server that was given, a new schema.
  if (template === undefined) return createTestDatabase()
  const name = `catbird_test_${randomBytes(8).toString('hex')}`
  await runOnServer(url, `create database ${name}`)
  return {
    url: databaseUrl(url, name),
    drop: () => runOnServer(url, `drop database if exists ${name} with (force)`),
  }
}

/** Copies all rows, as of one moment, into new tables, and the state of their sequences: what a dump and a restore do. */
export async function dumpAndRestore(fromUrl: string, toUrl: string): Promise<void> {
  await migrate(toUrl)
  const from = postgres(fromUrl, { max: 1 })
  const to = postgres(toUrl, { max: 1 })
  try {
    await from.begin('isolation level repeatable read read only', (dump) =>
      to.begin(async (restore) => {
        for (const table of await tablesOf(dump)) await copy(table, dump, restore)
        await restore`
          select setval(pg_get_serial_sequence('incarnations', 'incarnation'), max(incarnation)) from incarnations`
      }),
    )
  } finally {
    await Promise.all([from.end(), to.end()])
  }
}

/** Others refer to conversations, and to nothing else. */
async function tablesOf(sql: Transaction): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select relname as name from pg_class
    where relnamespace = current_schema()::regnamespace and relkind = 'r' and relname <> ${MIGRATIONS_TABLE}
    order by relname <> 'conversations', relname`
  return rows.map(({ name }) => name)
}

/** In the text form of whole rows, which loses nothing. */
async function copy(table: string, from: Transaction, to: Transaction): Promise<void> {
  const found = await from<{ row: string }[]>`select t::text as row from ${from(table)} t`
  const rows = found.map(({ row }) => row)
  await to`
    insert into ${to(table)} overriding system value
    select (row::${to(table)}).* from unnest(${rows}::text[]) as row`
}
