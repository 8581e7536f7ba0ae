import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, renameSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DatabaseLogger } from './database-logger.ts'
import type { PostgresBinaries } from './postgres-binaries.ts'
import type { SystemUser } from './postgres-user.ts'
import { identify, type ProcessIdentity, sendSignal } from './process-identity.ts'
import { stopPostmaster } from './stop-postmaster.ts'

/** Replaying the log after a crash counts as starting, and may take its time. */
const START_TIMEOUT_MS = 120_000
/** How long backends of a killed postmaster may take to notice and let go of the shared memory. */
const LEFTOVER_TIMEOUT_MS = 15_000
const POLL_MS = 25

/** What it takes to start a postmaster. */
export type PostmasterOptions = {
  binaries: PostgresBinaries
  user: SystemUser | undefined
  /** The cluster. */
  directory: string
  logFile: string
  settings: Record<string, string>
  logger: DatabaseLogger
}

/** A running postmaster, our child. */
export type Postmaster = { identity: ProcessIdentity; port: number; stop(): Promise<void> }

/** Starts PostgreSQL and waits until it takes connections. `onSpawn` runs as soon as there is a process. */
export async function startPostmaster(
  options: PostmasterOptions,
  onSpawn: (identity: ProcessIdentity) => void,
): Promise<Postmaster> {
  const giveUpAt = Date.now() + LEFTOVER_TIMEOUT_MS
  for (;;) {
    const port = await freePort()
    const child = spawnPostmaster(options, port)
    await once(child, 'spawn')
    const identity = identify(child.pid!)
    if (identity) onSpawn(identity)
    if (identity && (await becomesReady(child, identity, options.directory))) {
      return { identity, port, stop: supervise(child, identity, options.logger) }
    }
    const log = readFileSync(options.logFile, 'utf8')
    // Another program took the port first, or backends of a killed postmaster still run: both pass.
    const passes = /Address already in use|still in use/.test(log)
    if (!passes || Date.now() > giveUpAt) {
      throw new Error(`PostgreSQL did not start in ${options.directory}: ${log.trim().slice(-2000)}`)
    }
    await sleep(200)
  }
}

function spawnPostmaster(options: PostmasterOptions, port: number): ChildProcess {
  const settings = {
    ...options.settings,
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
  }
  const args = ['-D', options.directory, ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])]
  // A file and not a pipe: an orphan that logs must not die of a closed pipe in the middle of its work.
  const log = openLog(options.logFile)
  try {
    // A process group of its own: Ctrl-C in the terminal must not stop it before the server has drained.
    const child = spawn(options.binaries.postgres, args, {
      ...options.user,
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log],
      env: { PATH: process.env.PATH, TZ: 'UTC', LC_ALL: 'C' },
    })
    child.unref()
    return child
  } finally {
    closeSync(log)
  }
}

/** Each start gets a log of its own; the one before it is kept, for it may tell why there was a new start. */
function openLog(logFile: string): number {
  try {
    renameSync(logFile, `${logFile}.1`)
  } catch {}
  return openSync(logFile, 'w', 0o600)
}

async function becomesReady(
  child: ChildProcess,
  identity: ProcessIdentity,
  directory: string,
): Promise<boolean> {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) return false
    if (isReady(identity.pid, directory)) return true
    await sleep(POLL_MS)
  }
  await stopPostmaster(identity)
  return false
}

/** The first line of `postmaster.pid` is the pid, the eighth the state: what `pg_ctl` goes by. */
function isReady(pid: number, directory: string): boolean {
  try {
    const lines = readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n')
    return Number(lines[0]) === pid && lines[7]?.trim() === 'ready'
  } catch {
    return false
  }
}

function supervise(
  child: ChildProcess,
  identity: ProcessIdentity,
  logger: DatabaseLogger,
): () => Promise<void> {
  let stopping: Promise<void> | undefined
  // For an exit without `stop`: an exception, or an early process.exit. After a SIGKILL the next start does it.
  const onProcessExit = () => sendSignal(identity.pid, 'SIGINT')
  process.once('exit', onProcessExit)
  child.once('exit', (code, signal) => {
    process.off('exit', onProcessExit)
    if (!stopping) logger.error({ code, signal }, 'The embedded PostgreSQL ended by itself')
  })
  return () => {
    stopping ??= stopPostmaster(identity)
    return stopping
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('No free port')
  return address.port
}
