import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { StreamWorld } from '../support/streams/stream-world.ts'

const EVENTS = Number(process.env.STREAM_EVENTS ?? 200_000)
const MESSAGES = EVENTS / 10

describe('readers who come and go at two processes, one with actors and one without, while others write', () => {
  let database: TestDatabase
  let world: StreamWorld
  beforeAll(async () => {
    database = await createTestDatabase()
    world = await StreamWorld.start(database.url, { people: 40, readersOfOne: 10, convos: 24 })
  })
  afterAll(async () => {
    const codes = await world?.stop()
    await database?.drop()
    expect(codes).toEqual([0, 0])
  })

  it(`get all of ${EVENTS} events, in order, and again only where they went on`, async () => {
    await world.until(EVENTS, MESSAGES)
    const { faults, ...counts } = await world.finish()
    console.log(counts)
    expect(faults).toEqual([])
    expect(counts.entries).toBeGreaterThanOrEqual(MESSAGES)
    expect(counts).toMatchObject({ lost: 0, outdatedReaders: 0, ends: {} })
  }, 360_000)
})
