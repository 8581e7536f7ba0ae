import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from '@catbird/shared/sql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { openSql, type TestDatabase } from '../support/postgres.ts'
import { ServerProcess } from '../support/server-process.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import { BOTH_EXECUTORS } from '../support/streams/fleet.ts'
import { startOwnDatabaseServer } from '../support/streams/own-database-server.ts'
import { openReader, type StreamReader } from '../support/streams/stream-reader.ts'
import { newDid } from '../support/use-server.ts'

const MEASUREMENTS = 15
const STREAMS = 50
const STREAMS_PER_DID = 5
const MESSAGES = 25
const ARRIVAL_MS = 60_000
/** The database counts transactions of a connection when that is idle, or a second later. */
const COUNTED_MS = 1200

// Its statistics are counted.
let database: TestDatabase
let servers: ServerProcess[]
let sql: Pool
beforeAll(async () => {
  database = await startOwnDatabaseServer()
  servers = await Promise.all(BOTH_EXECUTORS.map((env) => ServerProcess.start(database.url, env)))
  sql = openSql(database.url)
})
afterAll(async () => {
  await sql?.end()
  const codes = await Promise.all((servers ?? []).map((server) => server.end()))
  await database?.drop()
  expect(codes).toEqual([0, 0])
})

const [alice, bobs] = [
  newDid('alice'),
  Array.from({ length: STREAMS / STREAMS_PER_DID }, () => newDid('bob')),
]

describe('what one process commits', () => {
  it.each([
    { from: 0, to: 1 },
    { from: 1, to: 0 },
  ])('reaches streams of another within a second, from $from to $to', async ({ from, to }) => {
    const convoId = await createConvo(servers[from]!.as(alice), { epoch: 0, initialMembers: bobs })
    const readers = await openStreams(to, 2)
    const times: number[] = []
    for (let i = 0; i < MEASUREMENTS; i++) {
      await sleep(i * 7)
      const sentMs = performance.now()
      await sendAndWait(from, convoId, readers)
      times.push(performance.now() - sentMs)
    }
    await closeAll(readers)
    const median = times.toSorted((a, b) => a - b)[Math.floor(MEASUREMENTS / 2)]!
    console.log(`sending and arrival, median: ${median.toFixed(0)} ms`)
    expect(median).toBeLessThan(1000)
  })

  it(`is read once there, for ${STREAMS} streams as for one`, async () => {
    const convoId = await createConvo(servers[0]!.as(alice), { epoch: 0, initialMembers: bobs })
    const counts: number[] = []
    for (const streams of [1, STREAMS]) {
      const readers = await openStreams(1, streams)
      const before = await transactions()
      for (let i = 0; i < MESSAGES; i++) await sendAndWait(0, convoId, readers)
      counts.push((await transactions()) - before)
      const [{ count }] = await sql<[{ count: number }]>`
        select count(*)::integer as count from pg_stat_activity where application_name = 'catbird-mls streams'`
      // One of each process that has had a stream.
      expect(count).toBeLessThanOrEqual(servers.length)
      await closeAll(readers)
    }
    console.log(`transactions for ${MESSAGES} messages with 1 and ${STREAMS} streams: ${counts.join(', ')}`)
    // One more for each stream and message would be thousands.
    expect(counts[1]! - counts[0]!).toBeLessThan((MESSAGES * STREAMS) / 4)
  })
})

async function openStreams(index: number, count: number): Promise<StreamReader[]> {
  const { url } = servers[index]!
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const token = await servers[index]!.as(bobs[i % bobs.length]!).token()
      const reader = await openReader(i % 2 === 0 ? 'sse' : 'socket', { url, token })
      await reader.until('caughtUp')
      return reader
    }),
  )
}

async function closeAll(readers: readonly StreamReader[]): Promise<void> {
  await Promise.all(readers.map((reader) => reader.close()))
}

async function sendAndWait(from: number, convoId: string, readers: readonly StreamReader[]): Promise<void> {
  const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
  const { messageId } = await servers[from]!.as(alice).ok('sendMessage', input)
  const isIt = (event: StreamEvent) => event.type === 'messageEvent' && event.message.id === messageId
  await Promise.all(readers.map((reader) => reader.next(isIt, ARRIVAL_MS)))
}

async function transactions(): Promise<number> {
  await sleep(COUNTED_MS)
  const [row] = await sql<[{ count: number }]>`
    select (xact_commit + xact_rollback)::integer as count from pg_stat_database
    where datname = current_database()`
  return row.count
}
