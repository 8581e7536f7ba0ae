import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { openPool } from '@catbird/shared/sql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { statements } from '../audit/damage.fixture.ts'
import { EXPIRED, TRACKED, writeHistory } from '../audit/history.fixture.ts'
import type { AuditReport } from '../audit/report.ts'
import { removeDataDirectory } from '../database/remove-data-directory.ts'
import { runningDatabaseUrl } from '../database/running-database.ts'

const VERIFY = fileURLToPath(new URL('./verify.ts', import.meta.url))
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))

type Env = Record<string, string>

function start(file: string, args: string[], env: Env): ChildProcess {
  const stdio: 'pipe'[] = ['pipe', 'pipe', 'pipe']
  return spawn(process.execPath, [file, ...args], { env: { PATH: process.env.PATH, ...env }, stdio })
}

async function verify(env: Env, ...args: string[]) {
  const tool = start(VERIFY, args, env)
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    tool[name]!.on('data', (chunk) => {
      output[name] += chunk
    })
  }
  const [code] = await once(tool, 'close')
  return { code, ...output }
}

async function damage(url: string, ...list: string[]): Promise<void> {
  const sql = openPool(url, { max: 1, name: 'damage', statementTimeoutMs: 5000 })
  await statements(...list)(sql)
  await sql.end()
}

describe('npm run verify', () => {
  let database: TestDatabase
  let env: Env
  beforeAll(async () => {
    database = await createTestDatabase()
    env = { DATABASE_URL: database.url }
    await writeHistory(database.url)
  })
  afterAll(() => database.drop())

  it('exits 0 and counts what it saw when all is well', async () => {
    const { code, stdout, stderr } = await verify(env)
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^4 conversations, 17 entries, [\d.]+ s: no violations\n$/)
    expect(code).toBe(0)
  })

  it('says what it cannot do, and exits 1', async () => {
    const wrong = ['--convo', 'ff', '--since', '1h']
    expect(await verify(env, ...wrong)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^Usage: /) })
    const unit = await verify(env, '--since', '24')
    expect(unit).toMatchObject({
      code: 1,
      stdout: '',
      stderr: '--since is a time such as 90s, 15m, 24h or 7d\n',
    })
    const convo = await verify(env, '--convo', 'ff')
    expect(convo).toMatchObject({ code: 1, stdout: '', stderr: 'There is no conversation ff\n' })
  })

  it('exits 1 and lists violations, for reading and as JSON', async () => {
    await damage(database.url, `update log set bytes = 'x' where convo_id = '${TRACKED}' and n = 7`)
    const { code, stdout } = await verify(env)
    expect(code).toBe(1)
    expect(stdout.split('\n').slice(1)).toEqual([
      '  chain_broken 1',
      'The first 1:',
      `  chain_broken ${TRACKED}: the logHash of row 7 does not follow from the entry and the one before`,
      '',
    ])
    const json = await verify(env, '--json', '--since', '1d')
    expect(json.code).toBe(1)
    const report = JSON.parse(json.stdout) as AuditReport
    expect(report).toMatchObject({ conversations: 2, violations: 1, byRule: { chain_broken: 1, seq_gap: 0 } })
    expect(await verify(env, '--convo', EXPIRED)).toMatchObject({ code: 0 })
  })
})

describe('npm run verify on an embedded database', () => {
  const dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'catbird-verify-')))
  // mkdtemp makes it 0700, which would keep the postgres user out.
  chmodSync(dataDir, 0o755)
  const env = { DATA_DIR: dataDir }
  let server: ChildProcess | undefined
  afterAll(async () => {
    await stop()
    removeDataDirectory(dataDir)
  })

  async function stop(): Promise<void> {
    if (!server || server.exitCode !== null) return
    const exited = once(server, 'exit')
    server.kill('SIGTERM')
    await exited
  }

  it('says so when there is none yet', async () => {
    const { code, stderr } = await verify(env)
    expect(stderr).toBe(`There is no database in ${dataDir} yet\n`)
    expect(code).toBe(1)
  })

  it('audits it while its server runs', async () => {
    server = start(MAIN, [], { ...env, SERVER_PORT: '0', SHARD_COUNT: '1' })
    await untilServing(server)
    expect(await verify(env)).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/^0 conversations/),
    })
    const url = runningDatabaseUrl(dataDir)!
    await writeHistory(url)
    expect(await verify(env)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^4 conversations/) })
    await damage(url, `update conversations set epoch = 9 where convo_id = '${TRACKED}'`)
    expect(await verify(env)).toMatchObject({ code: 1, stdout: expect.stringContaining('head_mismatch 1') })
    expect(server.exitCode).toBeNull()
  })

  it('starts it for as long as it takes when no server runs', async () => {
    await stop()
    expect(runningDatabaseUrl(dataDir)).toBeUndefined()
    expect(await verify(env)).toMatchObject({ code: 1, stdout: expect.stringContaining('head_mismatch 1') })
    expect(runningDatabaseUrl(dataDir)).toBeUndefined()
  })
})

async function untilServing(server: ChildProcess): Promise<void> {
  server.stderr!.resume()
  const lines = createInterface({ input: server.stdout! })
  await new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      if (line.includes('Serving on port')) resolve()
    })
    server.once('exit', (code) => reject(new Error(`the server ended with code ${code}`)))
  })
}
