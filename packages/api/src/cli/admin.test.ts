import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { openPool, type Pool } from '@catbird/shared/sql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { audit } from '../audit/audit.ts'
import { ALICE, BOB, EXPIRED, TRACKED, UNTRACKED, writeHistory } from '../audit/history.fixture.ts'

const ADMIN = fileURLToPath(new URL('./admin.ts', import.meta.url))
const EVE = 'did:plc:eve'

let database: TestDatabase
let sql: Pool
beforeAll(async () => {
  database = await createTestDatabase()
  await writeHistory(database.url)
  sql = openPool(database.url, { max: 1, name: 'admin test', statementTimeoutMs: 5000 })
})
afterAll(async () => {
  await sql.end()
  await database.drop()
})

async function admin(...args: string[]) {
  const tool = spawn(process.execPath, [ADMIN, ...args], {
    env: { PATH: process.env.PATH, DATABASE_URL: database.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    tool[name].on('data', (chunk) => {
      output[name] += chunk
    })
  }
  const [code] = await once(tool, 'close')
  return { code, ...output }
}

const blocked = async () => (await sql<{ did: string }[]>`select did from blocked_dids`).map(({ did }) => did)

describe('npm run admin', () => {
  it('says how it is used, and exits 1', async () => {
    const wrong = [
      [],
      ['convo'],
      ['convo', TRACKED, 'more'],
      ['explode', EVE],
      ['toString', EVE],
      ['block', EVE, '--yes'],
      ['erase', EVE, '--dids'],
      ['block', 'eve'],
    ]
    for (const args of wrong) {
      const usage = { code: 1, stdout: '', stderr: expect.stringContaining('Usage: npm run -s admin') }
      expect(await admin(...args), args.join(' ')).toMatchObject(usage)
    }
  })
})

describe('npm run admin -- convo', () => {
  it('shows a conversation without bytes or DIDs', async () => {
    const { code, stdout } = await admin('convo', TRACKED)
    expect(code).toBe(0)
    expect(stdout.replace(/\d{4}-\d\d-\d\dT[\d:.]{12}Z/, '<time>').split('\n')).toEqual([
      'conversation aa',
      '  epoch            3',
      '  seq              7',
      '  version          14',
      '  tracking         tracked',
      '  creator          present',
      '  members          2',
      '  entries kept     7',
      '  oldest seq kept  1',
      '  last activity    <time>',
      '  open Welcomes    2',
      '',
    ])
  })

  it('names the DIDs when asked to', async () => {
    const { stdout } = await admin('convo', UNTRACKED, '--dids')
    expect(stdout).toContain(`creator          present  (${ALICE})\n`)
    expect(stdout).toContain(`  members, longest-standing first:\n    ${ALICE}\n    ${BOB}\n`)
  })

  it('tells what is kept of a log whose messages have expired', async () => {
    const { stdout } = await admin('convo', EXPIRED)
    expect(stdout).toMatch(/seq +9\n/)
    expect(stdout).toMatch(/entries kept +4\n +oldest seq kept +4\n/)
  })

  it('exits 1 when there is no such conversation', async () => {
    const expected = { code: 1, stdout: '', stderr: 'There is no conversation ff\n' }
    expect(await admin('convo', 'ff')).toEqual(expected)
  })
})

describe('npm run admin -- block, unblock', () => {
  it('say what they did, once and again', async () => {
    const said = (stdout: string) => ({ code: 0, stderr: '', stdout: `${stdout}\n` })
    expect(await admin('unblock', EVE)).toEqual(said(`${EVE} was not blocked`))
    expect(await admin('block', EVE)).toEqual(
      said(`${EVE} is blocked; every running server refuses it within 2 s`),
    )
    expect(await admin('block', EVE)).toEqual(said(`${EVE} was blocked already`))
    expect(await blocked()).toEqual([EVE])
    expect((await audit(sql)).violations).toBe(0)
    expect(await admin('unblock', EVE)).toEqual(
      said(`${EVE} is no longer blocked; every running server lets it in within 2 s`),
    )
    expect(await blocked()).toEqual([])
  })
})

describe('npm run admin -- erase', () => {
  it('only says what it would do without --yes, then does just that', async () => {
    const before = await sql`select * from conversations order by convo_id`
    const told = await admin('erase', BOB)
    expect(told).toMatchObject({ code: 0, stderr: '' })
    expect(told.stdout.split('\n')).toEqual([
      `Would erase of ${BOB}; nothing is changed without --yes:`,
      '  key packages                    1',
      "  claims of others' key packages  0",
      '  idempotency records             1',
      '  conversations left              2',
      '  conversations deleted           0  (it was the only member)',
      '  read positions                  1',
      '  Welcomes                        2',
      'Stays in 4 conversations of others, whose log chain and groups rest on it:',
      '  messages          2  (deleted when they expire)',
      '  commits           2  (others need them to follow the group)',
      '  other log rows    6',
      '  past memberships  5  (who could read what)',
      `This does not block: a client of ${BOB} can come back. To keep it out: npm run admin -- block ${BOB}`,
      '',
    ])
    expect(await sql`select * from conversations order by convo_id`).toEqual(before)
    const done = await admin('erase', BOB, '--yes')
    expect(done).toMatchObject({ code: 0, stderr: '' })
    expect(done.stdout).toBe(
      told.stdout.replace(/^Would.*/, `Erased of ${BOB}:`).replace(/(other log rows +)6/, '$18'),
    )
    expect((await audit(sql)).first).toEqual([])
    expect(await blocked()).toEqual([])
  })

  it('has nothing left to do when it runs again', async () => {
    const { code, stdout } = await admin('erase', BOB, '--yes')
    expect(code).toBe(0)
    const gone = stdout.slice(0, stdout.indexOf('Stays')).split('\n').slice(1, -1)
    expect(gone).toHaveLength(7)
    for (const line of gone) expect(line).toMatch(/ 0( |$)/)
  })
})
