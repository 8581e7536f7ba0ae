import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EMBEDDED_ROLE } from './data-directory.ts'
import { runningServer, type ServerRecord } from './ownership.ts'

/** Where an embedded PostgreSQL listens. */
export function embeddedUrl(
  { password, port }: { password: string; port: number },
  database = EMBEDDED_ROLE,
): string {
  return `postgres://${EMBEDDED_ROLE}:${password}@127.0.0.1:${port}/${database}`
}

/**
 * The URL of the embedded PostgreSQL that a living server runs on `dataDir`; undefined when no server does. It may
 * be used beside the server, and ends with it.
 */
export function runningDatabaseUrl(dataDir: string): string | undefined {
  const server = runningServer(dataDir)
  if (!server) return undefined
  const port = readyPort(dataDir, server)
  if (port === undefined) throw new Error(`The server on ${dataDir} is starting or stopping: try again`)
  return embeddedUrl({ password: readFileSync(join(dataDir, 'postgres/password'), 'utf8'), port })
}

/** Of `postmaster.pid` the first line is the pid, the fourth the port, the eighth the state. */
function readyPort(dataDir: string, { postmaster }: ServerRecord): number | undefined {
  try {
    const lines = readFileSync(join(dataDir, 'postgres/data/postmaster.pid'), 'utf8').split('\n')
    const isReady = Number(lines[0]) === postmaster?.pid && lines[7]?.trim() === 'ready'
    return isReady ? Number(lines[3]) : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
