import type { Pool } from '@catbird/shared/sql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { Scrape } from '../support/scrape.ts'
import { ServerProcess } from '../support/server-process.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import { readHeads, StoredTruth } from '../support/streams/stored-truth.ts'
import { type Since, StreamLedger } from '../support/streams/stream-ledger.ts'
import { openReader, type ReaderKind, type StreamReader } from '../support/streams/stream-reader.ts'
import { faultLines } from '../support/streams/verdict.ts'
import { newDid } from '../support/use-server.ts'

const HEALTHY = 200
const STREAMS_PER_DID = 4
const BULK_BYTES = 64 * 1024
const BULK_AT_ONCE = 4
/** Many times what the buffers of the system and of the server hold together. */
const MAX_ROUNDS = 1000
const MAX_GROWTH_BYTES = 150 * 2 ** 20
const ARRIVAL_MS = 60_000
const KINDS = ['sse', 'socket'] as const

type Reading = { kind: ReaderKind; did: string; reader: StreamReader }

let database: TestDatabase
let server: ServerProcess
let sql: Pool
beforeAll(async () => {
  database = await createTestDatabase()
  server = await ServerProcess.start(database.url)
  sql = openSql(database.url)
})
afterAll(async () => {
  await sql?.end()
  const code = await server?.end()
  await database?.drop()
  expect(code).toBe(0)
})

describe(`a reader that takes nothing any more, among ${HEALTHY} that do`, () => {
  it('is closed by name, costs little, keeps nobody up, and goes on from its cursor', async () => {
    const frozenDid = newDid('frozen')
    const dids = Array.from({ length: HEALTHY / STREAMS_PER_DID }, () => newDid('healthy'))
    const alice = newDid('alice')
    const crowd = await createConvo(server.as(alice), { epoch: 0, initialMembers: [frozenDid, ...dids] })
    const bulk = await createConvo(server.as(alice), { epoch: 0, initialMembers: [frozenDid] })
    const healthy = await Promise.all(
      Array.from({ length: HEALTHY }, (_, i) => open(KINDS[i % 2]!, dids[i % dids.length]!)),
    )
    const since = await sinceNow()
    for (const kind of KINDS) {
      const frozen = await open(kind, frozenDid)
      const itsSince = await sinceNow()
      frozen.reader.pause()
      const growth = await loadUntilClosed(alice, crowd, bulk)
      frozen.reader.resume()
      console.log(`${kind}: the server grew by ${(growth / 2 ** 20).toFixed(0)} MB`)
      expect(growth).toBeLessThan(MAX_GROWTH_BYTES)
      await expectToGoOn(frozen, itsSince, await closingCursor(frozen))
    }
    const last = await send(alice, crowd, 200)
    await expectAll(healthy, since, last.messageId)
  }, 200_000)
})

async function open(kind: ReaderKind, did: string, cursor?: string): Promise<Reading> {
  const token = await server.as(did).token()
  const reader = await openReader(kind, { url: server.url, token, cursor, check: false })
  await reader.until('caughtUp')
  return { kind, did, reader }
}

function send(did: string, convoId: string, size: number) {
  return server.as(did).ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, size) })
}

async function sinceNow(): Promise<Since> {
  return Array.from(await readHeads(sql), ([id, { n }]) => [id, n] as const)
}

/** Writes to the crowd, and much more to the frozen reader alone, until that is closed; by how much the server grew. */
async function loadUntilClosed(alice: string, crowd: string, bulk: string): Promise<number> {
  const closes = (scrape: Scrape) => scrape.value('stream_closes_total', { reason: 'slow' })
  const residentBytes = (scrape: Scrape) => scrape.value('process_resident_memory_bytes')
  const before = await Scrape.of(server.url)
  let most = residentBytes(before)
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const sends = Array.from({ length: BULK_AT_ONCE }, () => send(alice, bulk, BULK_BYTES))
    await Promise.all([...sends, send(alice, crowd, 200)])
    const scrape = await Scrape.of(server.url)
    most = Math.max(most, residentBytes(scrape))
    if (closes(scrape) > closes(before)) return most - residentBytes(before)
  }
  throw new Error('the frozen reader was never closed')
}

/** What the last words of a stream say to go on from. */
async function closingCursor({ kind, reader }: Reading): Promise<string> {
  const { reason, error } = await reader.ended
  expect(reason).toBe('ended')
  if (kind === 'sse') {
    expect(reader.events.at(-1)).toMatchObject({ type: 'infoEvent', info: 'slow' })
    return reader.cursor!
  }
  expect(error?.error).toBe('ConsumerTooSlow')
  return /\(cursor=([\w-]+)\)$/.exec(error!.message!)![1]!
}

async function expectToGoOn({ kind, did, reader }: Reading, since: Since, cursor: string): Promise<void> {
  const next = await open(kind, did, cursor)
  await next.reader.close()
  const ledger = new StreamLedger()
  ledger.connected(undefined, since)
  for (const event of reader.events) ledger.received(event)
  // That of a socket comes with the name alone.
  ledger.received({ type: 'infoEvent', info: 'slow', cursor })
  ledger.connected(cursor)
  for (const event of next.reader.events) ledger.received(event)
  expect(next.reader.count).toBeGreaterThan(1)
  expect(faultLines(ledger.judge((await StoredTruth.read(sql)).of(did, undefined)))).toEqual([])
}

async function expectAll(readings: readonly Reading[], since: Since, lastId: string): Promise<void> {
  const isLast = (event: StreamEvent) => event.type === 'messageEvent' && event.message.id === lastId
  await Promise.all(readings.map(({ reader }) => reader.next(isLast, ARRIVAL_MS)))
  const truth = await StoredTruth.read(sql)
  for (const { did, reader } of readings) {
    await reader.close()
    const ledger = new StreamLedger()
    ledger.connected(undefined, since)
    for (const event of reader.events) ledger.received(event)
    expect(faultLines(ledger.judge(truth.of(did, undefined)))).toEqual([])
  }
}
