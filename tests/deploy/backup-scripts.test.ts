import { once } from 'node:events'
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { currentIncarnation } from '@catbird/api/database/incarnation'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fileOf, filesIn, query, useBackups } from '../support/deploy/backup-fixture.ts'
import { startScript } from '../support/deploy/scripts.ts'
import { eventually } from '../support/eventually.ts'
import { openSql } from '../support/postgres.ts'

const backups = useBackups()
const BLOCKS = 'select did from blocked_dids order by did'
const block = (did: string) => `insert into blocked_dids (did) values ('${did}')`

async function lifeOf(url: string) {
  const sql = openSql(url)
  try {
    return await currentIncarnation(sql)
  } finally {
    await sql.end()
  }
}

describe('a backup', () => {
  it('keeps the newest when told so, and leaves other files alone', async () => {
    const [url, directory] = [await backups.newServerDatabase(), await backups.newDirectory()]
    for (const name of ['catbird-20260101T000000Z.dump', 'catbird-20260102T000000Z.dump', 'other.dump'])
      await writeFile(join(directory, name), '')
    const made = fileOf(await backups.backUp(url, '--keep', '2', directory))
    expect(await filesIn(directory)).toEqual([
      'catbird-20260102T000000Z.dump',
      made.slice(directory.length + 1),
      'other.dump',
    ])
  })

  it('that is no backup of this server is not made', async () => {
    const directory = await backups.newDirectory()
    const { code, stderr } = await backups.backUp(await backups.newDatabase(), directory)
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'backup.sh: the database has no table conversations: is DATABASE_URL that of the server?\n',
    })
    expect(await filesIn(directory)).toEqual([])
  })

  it('of a database that is not there leaves no file and removes none', async () => {
    const [url, directory] = [await backups.newServerDatabase(), await backups.newDirectory()]
    await writeFile(join(directory, 'catbird-20260101T000000Z.dump'), '')
    const { code } = await backups.backUp(`${url}_gone`, '--keep', '1', directory)
    expect(code).not.toBe(0)
    expect(await filesIn(directory)).toEqual(['catbird-20260101T000000Z.dump'])
  })

  it('shows its password to no other program, and leaves nothing when it is interrupted', async () => {
    const [url, directory] = [await backups.newServerDatabase(), await backups.newDirectory()]
    const sql = openSql(url)
    onTestFinished(() => sql.end())
    const locked = Promise.withResolvers<void>()
    const held = Promise.withResolvers<void>()
    const holding = sql.begin(async (transaction) => {
      await transaction`lock table log`
      locked.resolve()
      await held.promise
    })
    await locked.promise
    const child = startScript(backups.script('backup.sh', url, directory))
    const ended = once(child, 'exit')
    try {
      await eventually('a backup that waits', async () => (await filesIn(directory)).length > 0)
      expect(await filesIn(directory)).toEqual([expect.stringMatching(/^catbird-.*\.dump\.partial-\d+$/)])
      const lines = await commandLines()
      expect(lines.filter((line) => line.includes(`--file=${directory}`))).toHaveLength(1)
      const { password } = new URL(url)
      expect(
        lines.filter((line) => line.includes(password) || line.includes(decodeURIComponent(password))),
      ).toEqual([])
    } finally {
      process.kill(-child.pid!, 'SIGTERM')
      await ended
      held.resolve()
      await holding
    }
    expect(await filesIn(directory)).toEqual([])
  })

  it.each([
    [['--keep', '0', '/tmp'], '--keep takes a number of backups, 1 or more'],
    [['/nowhere'], 'there is no directory /nowhere'],
    [['--what'], 'Usage: backup.sh [--keep <n>] [<directory>]'],
  ])('refuses %j', async (args, problem) => {
    const ran = await backups.backUp('postgres://nobody@127.0.0.1:1/none', ...args)
    expect(ran).toEqual({ code: 1, stdout: '', stderr: `backup.sh: ${problem}\n` })
  })

  it.each([
    ['', 'DATABASE_URL is not set'],
    ['host=127.0.0.1', 'DATABASE_URL must be a URL like postgres://user:password@host:5432/database'],
    [
      'postgres://127.0.0.1/x?search_path=y',
      'DATABASE_URL has a search_path: leave it out, a backup is of the whole database',
    ],
  ])('and a restore refuse the DATABASE_URL "%s"', async (url, problem) => {
    expect((await backups.backUp(url, '/tmp')).stderr).toBe(`backup.sh: ${problem}\n`)
    expect((await backups.restore(url, '/dev/null')).stderr).toBe(`restore.sh: ${problem}\n`)
  })
})

describe('a restore', () => {
  const backedUp = async () => {
    const url = await backups.newServerDatabase()
    await query(url, block('did:plc:before'))
    const file = fileOf(await backups.backUp(url, await backups.newDirectory()))
    await query(url, block('did:plc:since'))
    return { url, file }
  }

  it('leaves a database with tables alone', async () => {
    const { url, file } = await backedUp()
    const { code, stderr } = await backups.restore(url, file)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^restore\.sh: the database has \d+ tables: give --replace to drop them/)
    expect(await query(url, BLOCKS)).toHaveLength(2)
  })

  it('replaces all that is there when told so, and begins another life of the database', async () => {
    const { url, file } = await backedUp()
    const before = await lifeOf(url)
    await query(
      url,
      'create schema other; create table other.one (n int); create table two (n int); create view three as select 3',
    )
    expect(await backups.restore(url, '--replace', file)).toMatchObject({ code: 0, stderr: '' })
    expect(await query(url, BLOCKS)).toEqual([{ did: 'did:plc:before' }])
    const gone = `select to_regclass('other.one') as one, to_regclass('two') as two, to_regclass('three') as three`
    expect(await query(url, gone)).toEqual([{ one: null, two: null, three: null }])
    expect((await lifeOf(url)).tag).not.toBe(before.tag)
  })

  it('does nothing while somebody is connected', async () => {
    const { url, file } = await backedUp()
    const sql = openSql(url)
    onTestFinished(() => sql.end())
    await sql`select 1`
    expect(await backups.restore(url, '--replace', file)).toMatchObject({
      code: 1,
      stderr: 'restore.sh: 1 sessions are connected to the database: stop the server first\n',
    })
    expect(await sql.unsafe(BLOCKS)).toHaveLength(2)
  })

  it('of half a file changes nothing', async () => {
    const { url, file } = await backedUp()
    await truncate(file, (await readFile(file)).length - 5000)
    const { code, stderr } = await backups.restore(url, '--replace', file)
    expect(code).toBe(1)
    expect(stderr).toContain('cannot be read: nothing was changed')
    expect(await query(url, BLOCKS)).toHaveLength(2)
  })

  it('that fails on its way leaves the database as it was', async () => {
    const { file } = await backedUp()
    const url = await backups.newDatabase()
    await query(
      url,
      `create type welcomes as (n int); create function kept() returns int language sql as 'select 1'`,
    )
    const { code, stderr } = await backups.restore(url, file)
    expect(code).toBe(1)
    expect(stderr).toContain('restore.sh: the restore failed: the database is as it was')
    expect(await query(url, `select to_regclass('conversations') as made, kept()`)).toEqual([
      { made: null, kept: 1 },
    ])
  })
})

/** Of all processes of this machine. */
async function commandLines(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  return Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
}
