import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { expectError } from '../support/expect-error.ts'
import { ascending } from '../support/matchers.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { MODES, startTestServer, type TestServer } from '../support/server.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import { openReader, type ReaderOptions, type StreamReader } from '../support/streams/stream-reader.ts'
import { StreamRefused } from '../support/streams/transport.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { newDid } from '../support/use-server.ts'

type Options = Partial<ReaderOptions>

const WAYS = [
  { kind: 'sse', writer: MODES[0].env, reader: MODES[2].env },
  { kind: 'socket', writer: MODES[2].env, reader: MODES[1].env },
] as const

const seqsIn = (events: readonly StreamEvent[]) =>
  events.flatMap((event) => (event.type === 'messageEvent' ? [event.message.seq] : []))
const isSeq = (seq: number) => (event: StreamEvent) =>
  event.type === 'messageEvent' && event.message.seq === seq
const send = (client: TestClient, convoId: string, epoch = 0) =>
  client.ok('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })
const whisper = (client: TestClient, convoId: string, epoch: number) =>
  client.ok('sendEphemeral', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })

describe.each(WAYS)('a stream over $kind of another process than the one that writes', (way) => {
  const { kind } = way
  let database: TestDatabase
  /** The reading server's way to the database. */
  let proxy: TcpProxy
  let writer: TestServer
  let reader: TestServer
  beforeAll(async () => {
    database = await createTestDatabase()
    proxy = await TcpProxy.to(database.url)
    writer = await startTestServer(way.writer, database)
    const env = { ...way.reader, REQUEST_TIMEOUT_MS: '1000' }
    reader = await startTestServer(env, { ...database, url: proxy.through(database.url) })
  })
  afterEach(() => proxy.restore())
  afterAll(async () => {
    proxy?.restore()
    await Promise.all([writer?.stop(), reader?.stop()])
    proxy?.stop()
    await database?.drop()
  })
  const open = async (client: TestClient, options: Options = {}, { url } = reader) => {
    const opened = await openReader(kind, { url, token: await client.token(), ...options })
    onTestFinished(() => opened.close())
    return opened
  }
  /** Both write by way of the writing server. */
  const newConvo = async () => {
    const [alice, bob] = [writer.as(newDid('alice')), writer.as(newDid('bob'))]
    return { alice, bob, convoId: await createConvo(alice, { epoch: 0, initialMembers: [bob.did] }) }
  }

  it('tells of everything within a second', async () => {
    const { alice, bob, convoId } = await newConvo()
    const live = await open(bob)
    await live.until('caughtUp')
    const delaysMs: number[] = []
    for (const seq of ascending(9)) {
      await send(alice, convoId)
      const startedMs = performance.now()
      await live.next(isSeq(seq))
      delaysMs.push(performance.now() - startedMs)
    }
    expect(delaysMs.toSorted((a, b) => a - b)[4]).toBeLessThan(1000)
    await whisper(alice, convoId, 0)
    await live.next(({ type }) => type === 'ephemeralEvent')
  })

  it('begins at a cursor of the other, whichever of the two that is', async () => {
    const { alice, bob, convoId } = await newConvo()
    const streams = [await open(bob), await open(bob, {}, writer)]
    for (const seq of ascending(4)) {
      await send(alice, convoId)
      for (const stream of streams) await stream.next(isSeq(seq))
    }
    for (const [index, { events }] of streams.entries()) {
      for (const { cursor } of events.filter(isSeq(2))) {
        const again = await open(bob, { cursor }, index === 0 ? writer : reader)
        await again.until('caughtUp')
        expect([
          [3, 4],
          [2, 3, 4],
        ]).toContainEqual(seqsIn(again.events))
      }
    }
  })

  it('tells who was removed nothing of what was said afterwards, not even at once', async () => {
    for (let round = 0; round < 5; round++) {
      const { alice, bob, convoId } = await newConvo()
      const [removed, present] = [await open(bob), await open(alice)]
      for (const stream of [removed, present]) await stream.until('caughtUp')
      await alice.ok('leaveConvo', { convoId, targetDid: bob.did, commit: commitFor(convoId, 0) })
      await whisper(alice, convoId, 1)
      await removed.until('membershipEnded')
      await present.next(({ type }) => type === 'ephemeralEvent')
      const whispers = removed.events.filter(({ type }) => type === 'ephemeralEvent')
      expect(whispers, `round ${round}`).toEqual([])
    }
  })

  it('tells who was added of what is said from then on, even at once', async () => {
    const { alice, convoId } = await newConvo()
    const carol = writer.as(newDid('carol'))
    const added = await open(carol)
    await added.until('caughtUp')
    await alice.ok('addMembers', { convoId, didList: [carol.did], commit: commitFor(convoId, 0) })
    await whisper(alice, convoId, 1)
    await send(alice, convoId, 1)
    await added.next(isSeq(2))
    expect(added.events.filter(({ type }) => type === 'ephemeralEvent')).toHaveLength(1)
  })

  it('outlives a database that is away for a while, and misses nothing', async () => {
    const { alice, bob, convoId } = await newConvo()
    const all = [await open(bob), await open(bob, { convoId })]
    for (const stream of all) await stream.until('caughtUp')
    await send(alice, convoId)
    for (const stream of all) await stream.next(isSeq(1))
    proxy.cut()
    for (let i = 0; i < 5; i++) await send(alice, convoId)
    proxy.restore()
    await send(alice, convoId)
    for (const stream of all) {
      await stream.next(isSeq(7), 20_000)
      expect(seqsIn(stream.events)).toEqual(ascending(7))
    }
  })

  it('is refused while the database is away, and takes no place then', async () => {
    const { bob } = await newConvo()
    const answers = async () => (await new TestClient(reader.url, bob.did).call('getConvos')).status
    await eventually('an answer', async () => (await answers()) === 200)
    proxy.cut()
    // More, together, than one caller may have open.
    for (let i = 0; i < 2; i++) {
      const tries = Array.from({ length: 3 }, () => open(bob).catch((error) => error))
      for (const refused of await Promise.all(tries)) {
        if (!(refused instanceof StreamRefused)) throw new Error('not refused', { cause: refused })
        expectError(refused, 'DatabaseUnavailable')
      }
    }
    proxy.restore()
    await eventually('an answer again', async () => (await answers()) === 200)
    const opened: StreamReader[] = []
    await eventually('five streams', async () => {
      const one = await open(bob).catch((error) => error)
      if (one instanceof StreamRefused) expectError(one, 'DatabaseUnavailable')
      else opened.push(one)
      return opened.length === 5
    })
    for (const one of opened) await one.until('caughtUp')
  })
})
