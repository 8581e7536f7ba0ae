import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestDatabase } from '../support/postgres.ts'
import { Scrape } from '../support/scrape.ts'
import {
  type ForeignTransactions,
  holdTransaction,
  runShortTransactions,
} from '../support/streams/foreign-transactions.ts'
import { startOwnDatabaseServer } from '../support/streams/own-database-server.ts'
import { StreamWorld } from '../support/streams/stream-world.ts'

const EVENTS = Number(process.env.STREAM_EVENTS ?? 10_000)
/** At once, and many more than a cursor names. */
const SHORT = 40

describe('beside transactions of somebody else on the database server', () => {
  let database: TestDatabase
  let world: StreamWorld
  const foreign: ForeignTransactions[] = []
  beforeAll(async () => {
    database = await startOwnDatabaseServer()
    foreign.push(await holdTransaction(database.url))
    world = await StreamWorld.start(database.url, { people: 30, readersOfOne: 5, convos: 16 })
  })
  afterAll(async () => {
    await Promise.all(foreign.map((transactions) => transactions.stop()))
    await world?.stop()
    await database?.drop()
  })

  it('nothing is missed and nothing waits, though one never ends and then many others come and go', async () => {
    await world.until(EVENTS, EVENTS / 10)
    foreign.push(runShortTransactions(database.url, SHORT))
    await world.until(2 * EVENTS, EVENTS / 5)
    for (const url of world.fleet.urls) {
      expect((await Scrape.of(url)).value('stream_horizon_lag_seconds')).toBeGreaterThan(1)
    }
    const { faults, ...counts } = await world.finish()
    console.log(counts)
    expect(faults).toEqual([])
    expect(counts).toMatchObject({ lost: 0, outdatedReaders: 0, ends: {} })
  }, 300_000)
})
