import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'
import pg from 'pg'

const MIGRATIONS_DIRECTORY = fileURLToPath(new URL('../../../../migrations', import.meta.url))

/** The table with the names of the migrations that have run, in the same schema as the rest. */
export const MIGRATIONS_TABLE = 'schema_migrations'

/** One lock for all: two servers that start at once migrate one after the other. Any constant does. */
const LOCK_ID = 7_306_154_092
/** Others may be migrating a large table: longer than any migration that this project would ship. */
const LOCK_TIMEOUT_MS = 60_000
/** A migration that waits for a table lock keeps everybody behind it waiting: give up and start again instead. */
const TABLE_LOCK_TIMEOUT_MS = 5_000
const LOCK_NOT_AVAILABLE = '55P03'

/** Where to migrate from, when not the project's own migrations. */
export type MigrateOptions = { directory?: string; lockTimeoutMs?: number }

/**
 * Brings the database to the newest schema and returns the names of the migrations that this call applied, in
 * order. All of them or none: they run in one transaction. Waits while another process migrates.
 *
 * A `search_path` in the URL names the schema that holds everything; it is made when missing.
 */
export async function migrate(url: string, options: MigrateOptions = {}): Promise<string[]> {
  const schema = new URL(url).searchParams.get('search_path')
  const client = new pg.Client({ connectionString: url, application_name: 'catbird-migrate' })
  // A lost connection fails the query that runs; without a listener it would end the process as well.
  client.on('error', () => {})
  await client.connect()
  try {
    await lock(client, options.lockTimeoutMs ?? LOCK_TIMEOUT_MS)
    const applied = await runner({
      dbClient: client,
      dir: options.directory ?? MIGRATIONS_DIRECTORY,
      // Everything but 0001_name.sql: schema.sql lies beside them.
      ignorePattern: '(?!\\d+_.*\\.sql$).*',
      schema: schema ?? 'public',
      createSchema: schema !== null,
      migrationsTable: MIGRATIONS_TABLE,
      direction: 'up',
      checkOrder: true,
      singleTransaction: true,
      // Its own lock fails at once where ours waits.
      noLock: true,
      logger: SILENT,
    })
    return applied.map(({ name }) => name)
  } finally {
    // Ends the session, and the lock with it.
    await client.end()
  }
}

/** What it would log is returned or thrown. */
const SILENT = { info: () => {}, warn: () => {}, error: () => {} }

async function lock(client: pg.Client, timeoutMs: number): Promise<void> {
  try {
    await client.query(`set lock_timeout = ${timeoutMs}`)
    await client.query('select pg_advisory_lock($1)', [LOCK_ID])
    await client.query(`set lock_timeout = ${TABLE_LOCK_TIMEOUT_MS}`)
  } catch (error) {
    if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw error
    throw new Error(`Another process has been migrating this database for ${timeoutMs / 1000} s`)
  }
}
