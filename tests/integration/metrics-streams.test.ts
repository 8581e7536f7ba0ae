import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { Scrape } from '../support/scrape.ts'
import { MODES, startTestServer, type TestServer } from '../support/server.ts'
import { openReader, type ReaderKind, type ReaderOptions } from '../support/streams/stream-reader.ts'
import { newDid, useServer } from '../support/use-server.ts'

type Options = Partial<ReaderOptions>

const KINDS = ['sse', 'socket'] as const
const NSIDS = {
  sse: 'blue.catbird.mls.streamConvoEvents',
  socket: 'blue.catbird.mls.subscribeConvoEvents',
} as const
const OPENED = { sse: '200', socket: '101' } as const

async function openOn(server: TestServer, kind: ReaderKind, client: TestClient, options: Options = {}) {
  const reader = await openReader(kind, { url: server.url, token: await client.token(), ...options })
  onTestFinished(() => reader.close())
  await reader.until('caughtUp')
  return reader
}

const send = (client: TestClient, convoId: string, size = 200) =>
  client.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, size) })
const isMessage = ({ type }: { type: string }) => type === 'messageEvent'

describe.each(KINDS)('metrics of streams over %s', (kind) => {
  const { people, server, sql } = useServer(MODES[2].env)
  const open = (client: TestClient, options?: Options) => openOn(server(), kind, client, options)
  const value = async (name: string, labels?: Record<string, string>) =>
    (await Scrape.of(server().url)).value(name, labels)
  const active = (count: number) =>
    eventually(`${count} streams`, async () => (await value('active_streams')) === count)

  it('tell how many are open, and how many were asked for and refused', async () => {
    const [alice] = people('alice')
    await active(0)
    const method = NSIDS[kind]
    const before = await Scrape.of(server().url)
    const readers = [await open(alice), await open(alice)]
    expect(await value('active_streams')).toBe(2)
    await expect(open(alice, { cursor: 'nonsense' })).rejects.toThrow('InvalidCursor')
    const after = await Scrape.of(server().url)
    const rise = (name: string, labels: Record<string, string>) =>
      after.value(name, labels) - before.value(name, labels)
    expect(rise('http_requests_total', { method })).toBe(3)
    expect(rise('http_requests_total', { method, status: OPENED[kind] })).toBe(2)
    expect(rise('http_errors_total', { method, error: 'InvalidCursor' })).toBe(1)
    // How long they stay open is not how long the request took.
    expect(rise('http_request_duration_seconds_count', { method })).toBe(3)
    for (const reader of readers) await reader.close()
    await active(0)
  })

  it('count the events that are handed to them', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    for (let i = 0; i < 3; i++) await send(alice, convoId)
    const before = await value('stream_events_sent_total')
    const readers = [await open(alice, { cursor: '0' }), await open(bob), await open(bob, { convoId })]
    await send(alice, convoId)
    for (const reader of readers)
      await reader.next((event) => isMessage(event) && 'message' in event && event.message.seq === 4)
    await alice.ok('sendEphemeral', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    for (const reader of readers) await reader.next(({ type }) => type === 'ephemeralEvent')
    const came = readers.reduce((sum, { count }) => sum + count, 0)
    expect(came).toBeGreaterThan(12)
    expect(await value('stream_events_sent_total')).toBe(before + came)
  })

  it('count ends by their reason: the client, slow, blocked', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0 })
    const [one, slow, blocked] = [await open(alice), await open(alice), await open(bob)]
    const closes = (reason: string) => value('stream_closes_total', { reason })
    const reasons = ['client', 'slow', 'blocked']
    const before = await Promise.all(reasons.map(closes))
    const until = async (counts: number[]) => {
      const wanted = before.map((count, i) => count + counts[i]!).join()
      await eventually(wanted, async () => (await Promise.all(reasons.map(closes))).join() === wanted)
    }
    await one.close()
    await until([1, 0, 0])
    slow.pause()
    for (let i = 0; (await closes('slow')) === before[1] && i < 100; i++) await send(alice, convoId, 400_000)
    await until([1, 1, 0])
    await slow.close()
    await sql()`insert into blocked_dids (did) values (${bob.did})`
    await blocked.until('blocked')
    await until([1, 1, 1])
    await active(0)
    expect(await value('stream_closes_total')).toBeGreaterThanOrEqual(3)
  })
})

describe('a transaction that is held open', () => {
  const { people, server } = useServer(MODES[1].env)
  let holder: ReturnType<typeof openSql>
  beforeAll(() => {
    holder = openSql(server().databaseUrl)
  })
  afterAll(() => holder?.end())
  const lag = async () => (await Scrape.of(server().url)).value('stream_horizon_lag_seconds')

  it('holds up no event, is seen in a metric, and is forgotten when it ends', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const readers = await Promise.all(KINDS.map((kind) => openOn(server(), kind, bob)))
    const release = Promise.withResolvers<void>()
    const holding = holder.begin(async (sql) => {
      await sql`select pg_current_xact_id()`
      await send(alice, convoId)
      await release.promise
    })
    const seqs = (reader: (typeof readers)[number]) =>
      reader.events.flatMap((event) => (event.type === 'messageEvent' ? [event.message.seq] : []))
    let last = 1
    await eventually('a lag of more than a second', async () => {
      const { seq } = await send(alice, convoId)
      for (const reader of readers) {
        await reader.next((event) => event.type === 'messageEvent' && event.message.seq === seq)
      }
      last = seq!
      return (await lag()) > 1
    })
    const resumed = []
    for (const [index, reader] of readers.entries()) {
      const { cursor } = reader
      await send(alice, convoId)
      const again = await openOn(server(), KINDS[index]!, bob, { cursor })
      resumed.push(seqs(again))
      last++
    }
    release.resolve()
    await holding
    await eventually('no lag', async () => (await lag()) < 0.5)
    for (const reader of readers) {
      await reader
        .next((event) => event.type === 'messageEvent' && event.message.seq === last)
        .catch(() => {})
      expect(seqs(reader)).toEqual(Array.from({ length: last }, (_, i) => i + 1))
    }
    // Nothing is missing, and the repeats are few.
    expect(resumed[0]!.at(-1)).toBe(last - 1)
    expect(resumed[1]!.at(-1)).toBe(last)
    for (const one of resumed) expect(one.length).toBeLessThanOrEqual(2)
  })
})

describe('metrics of a server that stops', () => {
  let database: TestDatabase
  let server: TestServer
  beforeAll(async () => {
    database = await createTestDatabase()
    server = await startTestServer(MODES[2].env, database)
  })
  afterAll(() => database?.drop())

  it('count the streams that it ends', async () => {
    const readers = await Promise.all(KINDS.map((kind) => openOn(server, kind, server.as(newDid('alice')))))
    const begun = connect(Number(new URL(server.url).port), '127.0.0.1')
    onTestFinished(() => void begun.destroy())
    begun.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n')
    // Answered after the connection above was taken.
    await fetch(`${server.url}/xrpc/_health`)
    const stopped = server.stop()
    for (const reader of readers) await reader.until('ShuttingDown')
    begun.write('Connection: close\r\n\r\n')
    const scrape = new Scrape(await text(begun))
    expect(scrape.value('stream_closes_total', { reason: 'shutdown' })).toBe(2)
    expect(scrape.value('active_streams')).toBe(0)
    await stopped
  })
})
