import { MIGRATIONS_TABLE, migrate } from '@catbird/api/database/migrate'
import postgres from 'postgres'

type Transaction = postgres.TransactionSql

/** Copies all rows, as of one moment, into empty tables, and the state of their sequences: what a dump and a restore do. */
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
