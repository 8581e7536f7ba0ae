import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { identifySelf, isAlive, type ProcessIdentity } from './process-identity.ts'

/** A claim takes about a millisecond: a lock this old belongs to a process that was killed in it. */
const STALE_LOCK_MS = 3_000

/** What `server.json` says: who serves from this directory, and the PostgreSQL it started. */
export type ServerRecord = { server: ProcessIdentity; postmaster?: ProcessIdentity }

/** The right to serve from a directory. `previous` is what a dead owner left behind. */
export type Ownership = {
  previous: ServerRecord | undefined
  recordPostmaster(postmaster: ProcessIdentity): void
  release(): void
}

/** What the living server that serves from `dataDir` says of itself; undefined when there is none. */
export function runningServer(dataDir: string): ServerRecord | undefined {
  const record = readRecord(recordFile(dataDir))
  return record && isAlive(record.server) ? record : undefined
}

/** Makes this process the only one that serves from `dataDir`, or throws when a living one already does. */
export async function claimDirectory(dataDir: string): Promise<Ownership> {
  const file = recordFile(dataDir)
  const lock = `${file}.lock`
  const server = identifySelf()
  await acquireLock(lock)
  try {
    const previous = readRecord(file)
    if (previous && isAlive(previous.server)) throw inUse(dataDir, previous.server.pid)
    // What is still to be stopped stays on record until this process has its own PostgreSQL.
    writeRecord(file, { server, postmaster: previous?.postmaster })
    return {
      previous,
      recordPostmaster: (postmaster) => writeRecord(file, { server, postmaster }),
      release: () => rmSync(file, { force: true }),
    }
  } finally {
    rmSync(lock, { force: true })
  }
}

function recordFile(dataDir: string): string {
  return join(dataDir, 'server.json')
}

function inUse(dataDir: string, pid: number): Error {
  return new Error(
    `Another server (pid ${pid}) is running on the data directory ${dataDir}: ` +
      'stop it first, or set another DATA_DIR',
  )
}

async function acquireLock(lock: string): Promise<void> {
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx', mode: 0o600 })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const heldSince = statSync(lock, { throwIfNoEntry: false })?.mtimeMs
    if (heldSince !== undefined && Date.now() - heldSince > STALE_LOCK_MS) rmSync(lock, { force: true })
    await sleep(10)
  }
}

function readRecord(file: string): ServerRecord | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ServerRecord
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`Cannot read ${file}`, { cause: error })
  }
}

/** Whole or not at all: a process killed while writing must not leave half a record. */
function writeRecord(file: string, record: ServerRecord): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
