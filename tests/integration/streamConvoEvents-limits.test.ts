import { once } from 'node:events'
import { connect } from 'node:net'
import { InflightBudget } from '@catbird/api/xrpc/inflight-budget'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { WebSocket } from 'ws'
import type { TestClient } from '../support/client.ts'
import { createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { expectError } from '../support/expect-error.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { Scrape } from '../support/scrape.ts'
import { MODES, startTestServer, type TestServer } from '../support/server.ts'
import {
  openReader,
  type ReaderKind,
  type ReaderOptions,
  type StreamReader,
} from '../support/streams/stream-reader.ts'
import { StreamRefused } from '../support/streams/transport.ts'
import { newDid, useServer } from '../support/use-server.ts'

type Options = Partial<ReaderOptions>

const KINDS = ['sse', 'socket'] as const
const PATHS = { sse: 'streamConvoEvents', socket: 'subscribeConvoEvents' } as const
const MAX_PER_DID = 5

async function openOn(server: TestServer, kind: ReaderKind, client: TestClient, options: Options = {}) {
  const reader = await openReader(kind, { url: server.url, token: await client.token(), ...options })
  onTestFinished(() => reader.close())
  return reader
}

async function refusalOn(server: TestServer, kind: ReaderKind, client: TestClient, options: Options = {}) {
  const refused = await openOn(server, kind, client, options).catch((error: unknown) => error)
  if (refused instanceof StreamRefused) return refused
  throw new Error(`not refused: ${JSON.stringify(options)}`, { cause: refused })
}

/** Opens as soon as there is room: the server notices a little later that a stream was closed. */
async function openSoon(...args: Parameters<typeof openOn>): Promise<StreamReader> {
  let opened: StreamReader | undefined
  await eventually('room for a stream', async () => {
    opened = await openOn(...args).catch((error) => {
      if (!(error instanceof StreamRefused) || ![429, 503].includes(error.status)) throw error
      return undefined
    })
    return opened !== undefined
  })
  return opened!
}

const send = (client: TestClient, convoId: string) =>
  client.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
const isMessage = ({ type }: { type: string }) => type === 'messageEvent'
const activeOn = async ({ url }: TestServer) => (await Scrape.of(url)).value('active_streams')

describe.each(KINDS)('streams over %s', (kind) => {
  const { people, server, sql } = useServer({ ...MODES[2].env, REQUEST_TIMEOUT_MS: '2000' })
  const open = (client: TestClient, options: Options = {}) => openOn(server(), kind, client, options)
  const refusal = (client: TestClient, options: Options = {}) => refusalOn(server(), kind, client, options)
  const openAll = async (client: TestClient) => {
    const readers: StreamReader[] = []
    while (readers.length < MAX_PER_DID) {
      const other = readers.length % 2 ? 'sse' : 'socket'
      readers.push(await openSoon(server(), other, client))
    }
    return readers
  }
  const requestOf = async (client: TestClient, path = PATHS[kind]) => {
    const upgrade = [
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${'a'.repeat(22)}==`,
    ]
    const lines = [
      `GET /xrpc/blue.catbird.mls.${path} HTTP/1.1`,
      'Host: localhost',
      `Authorization: Bearer ${await client.token()}`,
      ...(path === PATHS.socket ? [...upgrade, 'Connection: Upgrade'] : []),
    ]
    return `${lines.join('\r\n')}\r\n\r\n`
  }
  const dial = () => {
    const socket = connect(Number(new URL(server().url).port), '127.0.0.1')
    socket.on('error', () => {})
    onTestFinished(() => void socket.destroy())
    return socket
  }

  it('are five of one caller at most, of both kinds together, and others are not concerned', async () => {
    const [alice, bob] = people('alice', 'bob')
    const readers = await openAll(alice)
    for (let i = 0; i < 3; i++) expectError(await refusal(alice), 'RateLimitExceeded', { limit: MAX_PER_DID })
    await (await open(bob)).until('caughtUp')
    for (const reader of readers) {
      await reader.close()
      await (await openSoon(server(), kind, alice)).until('caughtUp')
    }
    expectError(await refusal(alice), 'RateLimitExceeded', { limit: MAX_PER_DID })
  })

  it('give their place back in whichever way they are closed', async () => {
    const [alice] = people('alice')
    const request = await requestOf(alice)
    const ways = [
      { name: 'cut', close: (socket: ReturnType<typeof dial>) => socket.resetAndDestroy() },
      { name: 'half closed', close: (socket: ReturnType<typeof dial>) => socket.end() },
    ]
    for (const { name, close } of ways) {
      const sockets = Array.from({ length: MAX_PER_DID }, dial)
      for (const socket of sockets) {
        socket.write(request)
        const [head] = await once(socket, 'data')
        expect(String(head), name).toMatch(/^HTTP\/1\.1 (200|101) /)
      }
      expectError(await refusal(alice), 'RateLimitExceeded')
      for (const socket of sockets) close(socket.resume())
      await Promise.all((await openAll(alice)).map((reader) => reader.close()))
      await eventually('the end of all', async () => (await activeOn(server())) === 0)
    }
  })

  it('give their place back when their reader leaves while they are being opened', async () => {
    const [alice] = people('alice')
    const request = await requestOf(alice)
    for (let round = 0; round < 8; round++) {
      const sockets = Array.from({ length: MAX_PER_DID }, dial)
      await Promise.all(sockets.map((socket) => once(socket, 'connect')))
      for (const socket of sockets) socket.write(request)
      await new Promise((resolve) => setTimeout(resolve, round))
      for (const socket of sockets) socket.destroy()
    }
    await openAll(alice)
    await eventually('no others', async () => (await activeOn(server())) === MAX_PER_DID)
  })

  it('hold nothing of the room for requests while they are open', async () => {
    const [alice] = people('alice')
    const admit = vi.spyOn(InflightBudget.prototype, 'admit')
    onTestFinished(() => admit.mockRestore())
    await (await open(alice)).until('caughtUp')
    const budget = admit.mock.contexts[0] as InflightBudget
    await eventually('an empty budget', () => budget.used === 0)
    expect(await activeOn(server())).toBeGreaterThan(0)
  })

  it('take no place when they are refused', async () => {
    const [alice] = people('alice')
    for (let i = 0; i < 2 * MAX_PER_DID; i++) {
      expectError(await refusal(alice, { cursor: 'nonsense' }), 'InvalidCursor')
      expectError(await refusal(alice, { convoId: newGroupId() }), 'ConvoNotFound')
      expectError(await refusal(alice, { convoId: 'x'.repeat(200) }), 'InvalidRequest')
    }
    const readers = await openAll(alice)
    for (let i = 0; i < 2 * MAX_PER_DID; i++) expectError(await refusal(alice), 'RateLimitExceeded')
    await readers[0]!.close()
    await openSoon(server(), kind, alice)
  })

  it('end when their reader is blocked, by name and with a cursor, which is good once it is not any more', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const [reader, other] = [await open(bob), await open(alice)]
    await send(alice, convoId)
    await reader.next(isMessage)
    await sql()`insert into blocked_dids (did) values (${bob.did})`
    const startedMs = performance.now()
    const { cursor } = await reader.until('blocked', 5000)
    expect(performance.now() - startedMs).toBeLessThan(4000)
    expect(await reader.ended).toMatchObject({ reason: 'ended' })
    expectError(await refusal(bob), 'Forbidden')
    await send(alice, convoId)
    await sql()`delete from blocked_dids`
    await eventually('an end of the block', async () => (await bob.call('getConvos')).status === 200)
    const again = await open(bob, { cursor })
    await again.until('caughtUp')
    expect(again.events.filter(isMessage)).toMatchObject([{ message: { seq: 2 } }])
    await other.next((event) => event.type === 'messageEvent' && event.message.seq === 2)
  })
})

describe('a server with room for two streams', () => {
  const { people, server } = useServer({ ...MODES[2].env, MAX_STREAMS: '2' })

  it.each(KINDS)('refuses the third over %s, whoever asks, until there is room', async (kind) => {
    const [alice, bob] = people('alice', 'bob')
    const first = await openSoon(server(), 'sse', alice)
    const second = await openSoon(server(), 'socket', bob)
    for (const client of people('carol', 'dave')) {
      expectError(await refusalOn(server(), kind, client), 'Overloaded')
    }
    await first.close()
    const third = await openSoon(server(), kind, bob)
    await third.until('caughtUp')
    expectError(await refusalOn(server(), kind, alice), 'Overloaded')
    await Promise.all([second.close(), third.close()])
    await openSoon(server(), kind, alice)
    await openSoon(server(), kind, alice)
  })
})

describe('a server that stops', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createTestDatabase()
  })
  afterAll(() => database?.drop())

  it('tells all streams so with a cursor, at once, and the next one goes on from there', async () => {
    const first = await startTestServer(MODES[1].env, database)
    const [alice, bob] = [first.as(newDid('alice')), first.as(newDid('bob'))]
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const readers = await Promise.all(
      KINDS.flatMap((kind) => [openOn(first, kind, bob), openOn(first, kind, bob, { convoId })]),
    )
    await Promise.all(readers.map((reader) => reader.until('caughtUp')))
    await send(alice, convoId)
    const startedMs = performance.now()
    const stopped = first.stop()
    const ends = await Promise.all(readers.map((reader) => reader.until('ShuttingDown')))
    for (const reader of readers) expect(await reader.ended).toMatchObject({ reason: 'ended' })
    await stopped
    expect(performance.now() - startedMs).toBeLessThan(3000)
    const next = await startTestServer(MODES[2].env, database)
    onTestFinished(() => next.stop())
    await send(next.as(alice.did), convoId)
    for (const [index, { cursor }] of ends.entries()) {
      const kind = KINDS[index < 2 ? 0 : 1]
      const options = index % 2 ? { cursor, convoId } : { cursor }
      const again = await openOn(next, kind, next.as(bob.did), options)
      await again.until('caughtUp')
      const seqs = [...readers[index]!.events, ...again.events].flatMap((event) =>
        event.type === 'messageEvent' ? [event.message.seq] : [],
      )
      expect(new Set(seqs)).toEqual(new Set([1, 2]))
      await again.close()
    }
  })

  it.each(KINDS)('is not held up by streams over %s that are just being opened', async (kind) => {
    for (const delayMs of [0, 3, 6, 10]) {
      const server = await startTestServer(MODES[2].env, database)
      const clients = ['alice', 'bob', 'carol'].map((name) => server.as(newDid(name)))
      await Promise.all(clients.map((client) => client.token()))
      const opening = clients.map((client) =>
        openOn(server, kind, client, { cursor: '0' }).catch((error) => error),
      )
      await new Promise((resolve) => setTimeout(resolve, delayMs))
      const startedMs = performance.now()
      await server.stop()
      expect(performance.now() - startedMs).toBeLessThan(3000)
      for (const opened of await Promise.all(opening)) {
        if (opened instanceof StreamRefused) expectError(opened, 'ShuttingDown')
        else if (!(opened instanceof Error)) expect((await opened.ended).reason).toMatch(/ended|cut/)
      }
      expect(server.logs.filter(({ level }) => level === 'ERROR')).toEqual([])
    }
  })

  it('closes WebSockets with their handshake', async () => {
    const server = await startTestServer(MODES[2].env, database)
    const alice = server.as(newDid('alice'))
    const url = `${server.url.replace('http', 'ws')}/xrpc/blue.catbird.mls.${PATHS.socket}`
    const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${await alice.token()}` } })
    await once(socket, 'message')
    const closed = once(socket, 'close')
    await server.stop()
    expect((await closed)[0]).toBe(1001)
  })
})
