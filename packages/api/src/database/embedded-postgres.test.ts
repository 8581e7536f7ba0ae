import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startEmbeddedPostgres } from './embedded-postgres.ts'
import type { ServerRecord } from './ownership.ts'
import { postgresUser } from './postgres-user.ts'
import { isAlive } from './process-identity.ts'
import { stopPostmaster } from './stop-postmaster.ts'

const FIXTURE = fileURLToPath(new URL('./embedded-postgres.fixture.ts', import.meta.url))
const isRoot = process.getuid?.() === 0

let root: string
let pristine: string
const owners: { process: ChildProcess; dataDir: string }[] = []
const log: string[] = []
const remember = (_details: object, message: string) => void log.push(message)
const logger = { info: remember, warn: remember, error: remember }

beforeAll(async () => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'catbird-embedded-')))
  chmodSync(root, 0o755)
  pristine = join(root, 'pristine')
  await (await startEmbeddedPostgres({ dataDir: pristine, logger })).stop()
})

afterEach(async () => {
  log.length = 0
  for (const { process: owner, dataDir } of owners.splice(0)) {
    owner.kill('SIGKILL')
    const postmaster = existsSync(join(dataDir, 'server.json')) && recordOf(dataDir).postmaster
    if (postmaster) await stopPostmaster(postmaster)
  }
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

/** A data directory with a cluster in it: copying one is faster than initdb. */
function initialisedDirectory(): string {
  const dataDir = join(mkdtempSync(join(root, 'case-')), 'data')
  chmodSync(join(dataDir, '..'), 0o755)
  execFileSync('cp', ['-a', pristine, dataDir])
  return dataDir
}

async function startOwner(dataDir: string, onSigint = 'drain'): Promise<ChildProcess> {
  const owner = spawn(process.execPath, [FIXTURE, dataDir, onSigint], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  })
  owners.push({ process: owner, dataDir })
  await once(owner.stdout!, 'data')
  return owner
}

function recordOf(dataDir: string): Required<ServerRecord> {
  return JSON.parse(readFileSync(join(dataDir, 'server.json'), 'utf8'))
}

async function kill(owner: ChildProcess): Promise<void> {
  const exited = once(owner, 'exit')
  owner.kill('SIGKILL')
  await exited
}

/** The rows that owners of the directory wrote. */
async function keptRows(dataDir: string): Promise<number[]> {
  const database = await startEmbeddedPostgres({ dataDir, logger })
  const sql = postgres(database.url, { max: 1 })
  try {
    const rows = await sql<{ id: number }[]>`select id from kept order by id`
    return rows.map(({ id }) => id)
  } finally {
    await sql.end()
    await database.stop()
  }
}

describe('startEmbeddedPostgres', () => {
  it('keeps its data over a restart and leaves no process behind', async () => {
    const dataDir = initialisedDirectory()
    const database = await startEmbeddedPostgres({ dataDir, logger })
    const { postmaster } = recordOf(dataDir)
    const sql = postgres(database.url, { max: 1 })
    await sql`create table kept (id int)`
    await sql`insert into kept values (7)`
    await sql.end()
    await database.stop()
    expect(isAlive(postmaster)).toBe(false)
    expect(existsSync(join(dataDir, 'server.json'))).toBe(false)
    expect(await keptRows(dataDir)).toEqual([7])
  })

  it('makes a database in UTF-8 that sorts by code point, with a password that only its owner can read', async () => {
    const dataDir = initialisedDirectory()
    const database = await startEmbeddedPostgres({ dataDir, logger, settings: { work_mem: '5MB' } })
    const sql = postgres(database.url, { max: 1 })
    try {
      const [row] = await sql`
        select current_setting('server_encoding') as encoding, 'Z' < 'a' as by_code_point,
               current_setting('fsync') as fsync, current_setting('work_mem') as work_mem`
      expect(row).toEqual({ encoding: 'UTF8', by_code_point: true, fsync: 'on', work_mem: '5MB' })
      expect(statSync(join(dataDir, 'postgres/password')).mode & 0o777).toBe(0o600)
      const wrong = postgres(database.url.replace(/:[^:@]+@/, ':wrong@'), { max: 1 })
      await expect(wrong`select 1`).rejects.toThrow(/password authentication failed/)
      await wrong.end()
    } finally {
      await sql.end()
      await database.stop()
    }
  })

  it('takes over from a server that was killed while its PostgreSQL lives on', async () => {
    const dataDir = initialisedDirectory()
    const owner = await startOwner(dataDir)
    const { postmaster } = recordOf(dataDir)
    await kill(owner)
    expect(isAlive(postmaster)).toBe(true)
    expect(await keptRows(dataDir)).toEqual([1])
    expect(isAlive(postmaster)).toBe(false)
    expect(log).toContainEqual(expect.stringContaining('Stopping the PostgreSQL that an ended server left'))
  })

  it('finds the PostgreSQL of a server that was killed before it wrote it down', async () => {
    const dataDir = initialisedDirectory()
    const owner = await startOwner(dataDir)
    const { server, postmaster } = recordOf(dataDir)
    await kill(owner)
    writeFileSync(join(dataDir, 'server.json'), JSON.stringify({ server }))
    expect(await keptRows(dataDir)).toEqual([1])
    expect(isAlive(postmaster)).toBe(false)
  })

  it('recovers after the server and its PostgreSQL were killed', async () => {
    const dataDir = initialisedDirectory()
    const owner = await startOwner(dataDir)
    process.kill(recordOf(dataDir).postmaster.pid, 'SIGKILL')
    await kill(owner)
    expect(await keptRows(dataDir)).toEqual([1])
  })

  it('is not stopped by another program that has the pid of an ended PostgreSQL', async () => {
    const dataDir = initialisedDirectory()
    const owner = await startOwner(dataDir)
    const { server, postmaster } = recordOf(dataDir)
    process.kill(postmaster.pid, 'SIGKILL')
    await kill(owner)
    const stranger = spawn('sleep', ['60'], { ...postgresUser(), stdio: 'ignore' })
    try {
      const pidFile = join(dataDir, 'postgres/data/postmaster.pid')
      writeFileSync(pidFile, readFileSync(pidFile, 'utf8').replace(/^\d+/, String(stranger.pid)))
      const reused = { pid: stranger.pid!, startedAt: postmaster.startedAt }
      writeFileSync(
        join(dataDir, 'server.json'),
        JSON.stringify({ server: { ...server, pid: process.pid }, postmaster: reused }),
      )
      expect(await keptRows(dataDir)).toEqual([1])
      expect(stranger.exitCode).toBeNull()
      expect(stranger.signalCode).toBeNull()
    } finally {
      stranger.kill()
    }
  })

  it('refuses a directory whose server is alive, naming its pid and the directory', async () => {
    const dataDir = initialisedDirectory()
    const owner = await startOwner(dataDir)
    await expect(startEmbeddedPostgres({ dataDir, logger })).rejects.toThrow(
      `Another server (pid ${owner.pid}) is running on the data directory ${dataDir}`,
    )
    expect(isAlive(recordOf(dataDir).postmaster)).toBe(true)
  })

  it('lets exactly one of two that start at once have a fresh directory', async () => {
    const dataDir = join(mkdtempSync(join(root, 'case-')), 'fresh')
    chmodSync(join(dataDir, '..'), 0o755)
    const starts = [0, 1].map(() =>
      spawn(process.execPath, [FIXTURE, dataDir, 'drain'], { stdio: ['ignore', 'pipe', 'pipe'] }),
    )
    owners.push(...starts.map((process) => ({ process, dataDir })))
    const outcomes = starts.map(async (start) => {
      let stderr = ''
      start.stderr.on('data', (chunk) => {
        stderr += chunk
      })
      const ready = once(start.stdout, 'data').then(() => 'ready')
      return Promise.race([ready, once(start, 'close').then(() => stderr)])
    })
    const messages = await Promise.all(outcomes)
    expect(messages.filter((message) => message === 'ready')).toHaveLength(1)
    expect(messages.find((message) => message !== 'ready')).toMatch(/Another server \(pid \d+\) is running/)
  })

  it('outlives a Ctrl-C in the terminal until the server has drained', async () => {
    const dataDir = initialisedDirectory()
    const owner = await startOwner(dataDir)
    const exited = once(owner, 'exit')
    process.kill(-owner.pid!, 'SIGINT')
    expect(await exited).toEqual([0, null])
    expect(await keptRows(dataDir)).toEqual([1, 2])
  })

  it('ends with a server that dies of an exception', async () => {
    const dataDir = initialisedDirectory()
    const owner = await startOwner(dataDir, 'throw')
    const { postmaster } = recordOf(dataDir)
    const exited = once(owner, 'exit')
    owner.kill('SIGINT')
    expect(await exited).not.toEqual([0, null])
    await expect.poll(() => isAlive(postmaster), { timeout: 5_000 }).toBe(false)
  })

  it('begins again after it was killed in initdb', async () => {
    const dataDir = initialisedDirectory()
    execFileSync('mv', [join(dataDir, 'postgres/data'), join(dataDir, 'postgres/data.unfinished')])
    rmSync(join(dataDir, 'postgres/password'))
    await (await startEmbeddedPostgres({ dataDir, logger })).stop()
  })

  it('says why PostgreSQL did not start', async () => {
    const dataDir = initialisedDirectory()
    await expect(
      startEmbeddedPostgres({ dataDir, logger, settings: { work_mem: 'plenty' } }),
    ).rejects.toThrow(/did not start.*work_mem/s)
    await (await startEmbeddedPostgres({ dataDir, logger })).stop()
  })

  it.runIf(isRoot)(
    'as root keeps its data elsewhere when the postgres user cannot enter a directory above',
    async () => {
      const home = mkdtempSync(join(root, 'home-'))
      const dataDir = join(home, 'data')
      mkdirSync(dataDir)
      chmodSync(home, 0o700)
      try {
        await (await startEmbeddedPostgres({ dataDir, logger })).stop()
        expect(lstatSync(join(dataDir, 'postgres')).isSymbolicLink()).toBe(true)
        expect(log.filter((line) => line.includes('cannot reach'))).toHaveLength(1)
        await (await startEmbeddedPostgres({ dataDir, logger })).stop()
      } finally {
        rmSync(realpathSync(join(dataDir, 'postgres')), { recursive: true, force: true })
      }
    },
  )

  it.runIf(isRoot)('starts for an ordinary user too', () => {
    const dataDir = join(mkdtempSync(join(root, 'case-')), 'user')
    chmodSync(join(dataDir, '..'), 0o755)
    mkdirSync(dataDir)
    const user = { uid: 65_534, gid: 65_534 }
    execFileSync('chown', ['65534:65534', dataDir])
    const script = `
      import { startEmbeddedPostgres } from ${JSON.stringify(FIXTURE.replace('.fixture', ''))}
      await (await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, logger: console })).stop()`
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], { ...user, cwd: '/' })
    expect(run.stderr.toString()).toBe('')
    expect(run.status).toBe(0)
  })
})
