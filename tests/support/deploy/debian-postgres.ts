import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { findCommand, findOrInstall } from '../apt.ts'
import { databaseUrl, runOnServer } from '../database-server.ts'
import { eventually } from '../eventually.ts'
import { freePort } from './free-port.ts'

const run = promisify(execFile)
const DEBIAN = '/usr/lib/postgresql'
const WHAT_TO_DO =
  'Tests of backups need PostgreSQL with pg_dump, in a directory at POSTGRES_BIN or below /usr/lib/postgresql. ' +
  'On Debian: apt-get install postgresql'
/** Every kind of character that a URL has to encode. */
const PASSWORD = "p@ss:w/r%d ?#'$é"

/**
 * Makes a cluster, runs it, and removes it when standard input ends: also when whoever started it was killed. Run as the
 * user postgres where it is root, as which PostgreSQL refuses to run.
 */
const SCRIPT = `
  set -eu
  bin=$1 port=$2
  directory=$(mktemp -d)
  trap 'rm -rf "$directory"' EXIT
  printf '%s' "$PASSWORD" > "$directory/password"
  "$bin/initdb" --pgdata="$directory/data" --username=catbird --pwfile="$directory/password" --auth=scram-sha-256 \
    --encoding=UTF8 --locale=C --no-sync > "$directory/initdb.log"
  "$bin/postgres" -D "$directory/data" -p "$port" -h 127.0.0.1 -k "$directory" \
    > "$directory/postgres.log" 2>&1 < /dev/null &
  read -r _ || true
  kill -INT $!
  wait $! || true
`

/** The directory of Debian's newest PostgreSQL, with its tools. */
async function findPostgres(): Promise<string | undefined> {
  const installed = await readdir(DEBIAN).catch(() => [])
  const newestFirst = installed
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(DEBIAN, version, 'bin'))
  for (const directory of process.env.POSTGRES_BIN ? [process.env.POSTGRES_BIN] : newestFirst) {
    const found = await Promise.all(
      ['initdb', 'postgres', 'pg_dump', 'pg_restore', 'psql'].map((name) => findCommand([name], [directory])),
    )
    if (found.every((path) => path !== undefined)) return directory
  }
  return undefined
}

/** A PostgreSQL with its own tools, which the one from npm does not bring. */
export class DebianPostgres {
  /** Directory of the tools. */
  readonly bin: string
  readonly #url: string
  readonly #child: ChildProcess

  private constructor(bin: string, port: number, child: ChildProcess) {
    this.bin = bin
    this.#url = `postgres://catbird:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/postgres`
    this.#child = child
  }

  static async start(): Promise<DebianPostgres> {
    const bin = await findOrInstall({ packages: ['postgresql'], find: findPostgres, whatToDo: WHAT_TO_DO })
    const port = await freePort()
    const child = spawn('/bin/sh', ['-c', SCRIPT, 'sh', bin, String(port)], {
      ...(await postgresUser()),
      cwd: '/',
      env: { PATH: process.env.PATH, TMPDIR: tmpdir(), PASSWORD },
      stdio: ['pipe', 'ignore', 'inherit'],
    })
    const started = new DebianPostgres(bin, port, child)
    await eventually('a start of PostgreSQL', () => started.#isUp(), 60_000)
    return started
  }

  async createDatabase(name: string): Promise<string> {
    await runOnServer(this.#url, `create database ${name}`)
    return databaseUrl(this.#url, name)
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.stdin!.end()
    await ended
  }

  async #isUp(): Promise<boolean> {
    if (this.#child.exitCode !== null) throw new Error('PostgreSQL did not start')
    const sql = postgres(this.#url, { max: 1, connect_timeout: 5 })
    try {
      await sql`select 1`
      return true
    } catch {
      return false
    } finally {
      await sql.end()
    }
  }
}

async function postgresUser(): Promise<{ uid?: number; gid?: number }> {
  if (process.getuid?.() !== 0) return {}
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (flag) => (await run('id', [flag, 'postgres'])).stdout),
  )
  return { uid: Number(uid), gid: Number(gid) }
}
