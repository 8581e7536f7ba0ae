import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { StreamWorld } from '../support/streams/stream-world.ts'

const EVENTS = Number(process.env.STREAM_EVENTS ?? 10_000)
/** What a reader notices of a server that is killed. */
const NOTICED = ['cut', 'ended', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']

describe('streams from two processes of which each is killed', () => {
  let database: TestDatabase
  let world: StreamWorld
  beforeAll(async () => {
    database = await createTestDatabase()
    world = await StreamWorld.start(database.url, { people: 30, readersOfOne: 5, convos: 16 })
  })
  afterAll(async () => {
    await world?.stop()
    await database?.drop()
  })

  it('go on from their cursors at the other process and at the one that follows it, and miss nothing', async () => {
    for (const [i, index] of [0, 1].entries()) {
      await world.until(((i + 1) * EVENTS) / 4)
      await world.fleet.kill(index)
      await world.until(world.events + EVENTS / 8)
      await world.fleet.startOne(index)
    }
    await world.until(EVENTS, EVENTS / 10)
    const { faults, ...counts } = await world.finish()
    console.log(counts)
    expect(faults).toEqual([])
    expect(counts).toMatchObject({ lost: 0, outdatedReaders: 0 })
    expect(Object.keys(counts.ends).length).toBeGreaterThan(0)
    expect(Object.keys(counts.ends).filter((end) => !NOTICED.includes(end))).toEqual([])
  }, 300_000)
})
