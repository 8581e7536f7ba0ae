import type { Pool } from '@catbird/shared/sql'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, openSql } from '../support/postgres.ts'
import { ServerProcess } from '../support/server-process.ts'
import { startOwnDatabaseServer } from '../support/streams/own-database-server.ts'
import { dumpAndRestore } from '../support/streams/restored-database.ts'
import { readHeads, readLogHashes } from '../support/streams/stored-truth.ts'
import { StreamWorld } from '../support/streams/stream-world.ts'

const EVENTS = Number(process.env.STREAM_EVENTS ?? 10_000)
// What is sent again goes back behind where a reader began that did not begin with the oldest.
const SIZE = { people: 30, readersOfOne: 5, convos: 16, isWhole: true }

describe('over a dump and a restore', () => {
  let world: StreamWorld | undefined
  afterEach(async () => {
    await world?.stop()
    world = undefined
  })

  it.each([
    { where: 'into another database of the same server', create: createTestDatabase },
    // Where transactions have lower ids.
    { where: 'into a new server', create: startOwnDatabaseServer },
  ])(
    'readers are told, and get all that happens afterwards, $where',
    async ({ create }) => {
      const [before, after] = [await createTestDatabase(), await create()]
      onTestFinished(async () => void (await Promise.all([before.drop(), after.drop()])))
      world = await StreamWorld.start(before.url, SIZE)
      await world.until(0.3 * EVENTS)
      await dumpAndRestore(before.url, after.url)
      const survived = await withSql(after.url, readHeads)
      await world.until(world.events + 0.15 * EVENTS)
      await world.load.stop()
      await Promise.all([0, 1].map((index) => world!.fleet.kill(index)))
      await world.moveTo(after.url)
      await world.until(world.events + 0.3 * EVENTS)
      const { faults, ...counts } = await world.finish(survived)
      console.log(counts)
      expect(faults).toEqual([])
      expect(counts).toMatchObject({ lost: 0, outdatedReaders: SIZE.people + SIZE.readersOfOne })
      await expectReplaced(before.url, after.url)
    },
    300_000,
  )
})

/** Messages of the first life are gone, and others have their numbers. */
async function expectReplaced(beforeUrl: string, afterUrl: string): Promise<void> {
  const [before, after] = [await withSql(beforeUrl, readLogHashes), await withSql(afterUrl, readLogHashes)]
  const gone = [...before].filter(([place, hash]) => after.get(place) !== hash)
  expect(gone.length).toBeGreaterThan(0)
  expect(gone.filter(([place]) => after.has(place)).length).toBeGreaterThan(0)
}

async function withSql<T>(url: string, read: (sql: Pool) => Promise<T>): Promise<T> {
  const sql = openSql(url)
  try {
    return await read(sql)
  } finally {
    await sql.end()
  }
}

describe('a server whose database is restored under it', () => {
  it('says so and ends, so that it begins anew with what is there', async () => {
    const database = await createTestDatabase()
    onTestFinished(() => database.drop())
    const said = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => said.mockRestore())
    const server = await ServerProcess.start(database.url)
    onTestFinished(async () => void (await server.end('SIGKILL')))
    await withSql(database.url, async (sql) => {
      await sql`alter table log rename to log_of_before`
      await sql`create table log (like log_of_before including all)`
    })
    const isGone = () =>
      fetch(`${server.url}/health`).then(
        () => false,
        () => true,
      )
    await eventually('its end', isGone, 60_000)
    expect(await server.end()).toBe(1)
    const lines = said.mock.calls.map(([line]) => String(line))
    expect(lines.filter((line) => line.includes('restored or failed over'))).toHaveLength(1)
  })
})
