import { mkdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import { type Cluster, EMBEDDED_ROLE, prepareCluster } from './data-directory.ts'
import type { DatabaseLogger } from './database-logger.ts'
import { claimDirectory, type ServerRecord } from './ownership.ts'
import { postgresBinaries } from './postgres-binaries.ts'
import { postgresUser } from './postgres-user.ts'
import { type Postmaster, startPostmaster } from './postmaster.ts'
import { commandLine, identify, isAlive, type ProcessIdentity } from './process-identity.ts'
import { embeddedUrl } from './running-database.ts'
import { stopPostmaster } from './stop-postmaster.ts'

/** A database that this process can use until it calls `stop`. */
export type RunningDatabase = { url: string; stop(): Promise<void> }

/** What the embedded PostgreSQL needs to know. */
export type EmbeddedPostgresOptions = {
  /** Made when missing. Everything is kept below it, or linked from it. */
  dataDir: string
  logger: DatabaseLogger
  /** PostgreSQL settings other than its defaults. */
  settings?: Record<string, string>
}

/**
 * Starts the PostgreSQL of the npm package on `dataDir`, on a free port of the loopback interface. What an
 * earlier process left there is kept and, when it still runs, taken over from. Refused while
 * another server runs on the same directory.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<RunningDatabase> {
  const { logger, settings = {} } = options
  mkdirSync(options.dataDir, { recursive: true, mode: 0o755 })
  const dataDir = realpathSync(options.dataDir)
  const ownership = await claimDirectory(dataDir)
  try {
    const user = postgresUser()
    const binaries = postgresBinaries(user, logger)
    const cluster = prepareCluster(dataDir, binaries, user, logger)
    await stopOrphan(cluster.directory, ownership.previous, logger)
    const postmaster = await startPostmaster(
      {
        binaries,
        user,
        directory: cluster.directory,
        logFile: join(dataDir, 'postgres.log'),
        settings,
        logger,
      },
      ownership.recordPostmaster,
    )
    const url = await openDatabaseOrStop(cluster, postmaster)
    logger.info(
      { postgresPort: postmaster.port, postgresPid: postmaster.identity.pid },
      `Embedded PostgreSQL runs on ${dataDir}`,
    )
    const stop = async () => {
      await postmaster.stop()
      ownership.release()
    }
    return { url, stop }
  } catch (error) {
    ownership.release()
    throw error
  }
}

/**
 * Ends a PostgreSQL whose server died. Its `postmaster.pid` goes too: where that pid now belongs to some other
 * program, or to a zombie, PostgreSQL would take it for a rival and refuse to start. Backends that outlive their
 * postmaster are still found by their shared memory segment, which goes by the directory's inode.
 */
async function stopOrphan(
  directory: string,
  previous: ServerRecord | undefined,
  logger: DatabaseLogger,
): Promise<void> {
  const orphan = findOrphan(directory, previous)
  if (orphan) {
    logger.warn({ pid: orphan.pid }, `Stopping the PostgreSQL that an ended server left on ${directory}`)
    await stopPostmaster(orphan)
  }
  rmSync(join(directory, 'postmaster.pid'), { force: true })
}

function findOrphan(directory: string, previous: ServerRecord | undefined): ProcessIdentity | undefined {
  if (previous?.postmaster && isAlive(previous.postmaster)) return previous.postmaster
  // The server may have been killed before it wrote down its PostgreSQL.
  const pid = postmasterPid(directory)
  if (pid === undefined || !commandLine(pid)?.includes(` -D ${directory} `)) return undefined
  return identify(pid)
}

function postmasterPid(directory: string): number | undefined {
  try {
    return Number(readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n')[0])
  } catch {
    return undefined
  }
}

async function openDatabaseOrStop(cluster: Cluster, postmaster: Postmaster): Promise<string> {
  const { password } = cluster
  const { port } = postmaster
  const sql = postgres(embeddedUrl({ password, port }, 'postgres'), { max: 1 })
  try {
    const [existing] = await sql`select 1 from pg_database where datname = ${EMBEDDED_ROLE}`
    if (!existing) await sql`create database ${sql(EMBEDDED_ROLE)}`
    return embeddedUrl({ password, port })
  } catch (error) {
    await postmaster.stop()
    throw error
  } finally {
    await sql.end()
  }
}
