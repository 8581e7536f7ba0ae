import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import type { DatabaseLogger } from './database-logger.ts'
import { type RunningDatabase, startEmbeddedPostgres } from './embedded-postgres.ts'
import { runningDatabaseUrl } from './running-database.ts'

/** A shard's two writers, its reader, and two for commands that wait for a row. */
const CONNECTIONS_PER_SHARD = 5
/** One that reads what is new, three for the past, two for what is not kept: to send and to hear it. */
const STREAM_CONNECTIONS = 6
const AUDIT_CONNECTIONS = 1
/** Migrations, command-line tools, and those that PostgreSQL keeps for the superuser. */
const FURTHER_CONNECTIONS = 20
const POSTGRES_DEFAULT_CONNECTIONS = 100

/** What one server may open: what the main thread reads, runs and looks after, and its shards. */
export function connectionsNeeded({ database, shards }: Pick<Config, 'database' | 'shards'>): number {
  const ofShards = shards.count * CONNECTIONS_PER_SHARD
  return 2 * database.poolMax + STREAM_CONNECTIONS + AUDIT_CONNECTIONS + ofShards
}

/** The database at DATABASE_URL, which is not ours to stop, or else an embedded one. */
export async function openDatabase(
  config: Pick<Config, 'database' | 'shards'>,
  logger: DatabaseLogger,
): Promise<RunningDatabase> {
  const { url, dataDir } = config.database
  if (url !== undefined) return { url, stop: async () => {} }
  const connections = connectionsNeeded(config) + FURTHER_CONNECTIONS
  const settings = { max_connections: String(Math.max(POSTGRES_DEFAULT_CONNECTIONS, connections)) }
  return startEmbeddedPostgres({ dataDir, logger, settings })
}

/**
 * The same for a tool that looks at what is there: an embedded database is shared with the server that runs on it,
 * and started only when there is no server. `stop` leaves alone what this call did not start.
 */
export async function openExistingDatabase(
  config: Pick<Config, 'database' | 'shards'>,
  logger: DatabaseLogger,
): Promise<RunningDatabase> {
  const { url, dataDir } = config.database
  const found = url ?? runningDatabaseUrl(dataDir)
  if (found !== undefined) return { url: found, stop: async () => {} }
  if (!existsSync(join(dataDir, 'postgres'))) throw new Error(`There is no database in ${dataDir} yet`)
  return openDatabase(config, logger)
}
