import { once } from 'node:events'
import { readStreamCursor, writeStreamCursor } from '@catbird/api/events/stream-cursor'
import type { FRAME_ERRORS } from '@catbird/shared/lexicon'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import type { TestClient } from '../support/client.ts'
import { createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { expectError } from '../support/expect-error.ts'
import { sendRaw } from '../support/http.ts'
import { ascending } from '../support/matchers.ts'
import { Scrape } from '../support/scrape.ts'
import { MODES } from '../support/server.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import { decodeFrame } from '../support/streams/frame-decoder.ts'
import { openReader, type ReaderOptions } from '../support/streams/stream-reader.ts'
import { type StreamEnd, StreamRefused } from '../support/streams/transport.ts'
import { useServer } from '../support/use-server.ts'

type Options = Partial<ReaderOptions>

const NSID = '/xrpc/blue.catbird.mls.'
const PATH = `${NSID}subscribeConvoEvents`
const UPGRADE = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': `${'a'.repeat(22)}==`,
}
const POLICY_VIOLATION = 1008
const MESSAGE_TOO_BIG = 1009

const send = (client: TestClient, convoId: string, size = 200) =>
  client.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, size) })

/** Holds the end of a stream to an error frame of this name. A contract test looks for the calls. */
function expectFrameError({ reason, code, error }: StreamEnd, name: (typeof FRAME_ERRORS)[number]): void {
  expect({ reason, code, error: error?.error }).toEqual({
    reason: 'ended',
    code: POLICY_VIOLATION,
    error: name,
  })
  expect(error?.message).toMatch(/\S/)
}

describe.each([MODES[0], MODES[2]])('subscribeConvoEvents, $name', ({ env }) => {
  const { people, server } = useServer(env)
  const open = async (client: TestClient, options: Options = {}) => {
    const reader = await openReader('socket', { url: server().url, token: await client.token(), ...options })
    onTestFinished(() => reader.close())
    return reader
  }
  const refusal = async (options: Options) => {
    const refused = await openReader('socket', { url: server().url, ...options }).catch((error) => error)
    if (refused instanceof StreamRefused) return refused
    throw new Error('not refused', { cause: refused })
  }
  const get = async (path: string, client: TestClient, headers: Record<string, string> = {}) =>
    sendRaw(`${server().url}${path}`, {
      method: 'GET',
      headers: { Authorization: `Bearer ${await client.token()}`, ...headers },
    })
  /** A socket by hand, once it has caught up. */
  const openSocket = async (client: TestClient) => {
    const url = `${server().url.replace('http', 'ws')}${PATH}`
    const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${await client.token()}` } })
    onTestFinished(() => socket.terminate())
    const [data] = await once(socket, 'message')
    expect(decodeFrame(data)).toMatchObject({ event: { info: 'caughtUp' } })
    return socket
  }
  const isClosed = () =>
    eventually('the end of the stream', async () => {
      return (await Scrape.of(server().url)).value('active_streams') === 0
    })

  it('is logged under the id of its request, at the level debug', async () => {
    const [alice] = people('alice')
    const reader = await openReader('socket', { url: server().url, token: await alice.token() })
    onTestFinished(() => reader.close())
    await reader.until('caughtUp')
    const method = 'blue.catbird.mls.subscribeConvoEvents'
    const received = server().logs.findLast(
      (line) => line.msg === 'Request received' && line.method === method,
    )
    expect(server().logs.filter(({ requestId }) => requestId === received!.requestId)).toMatchObject([
      { msg: 'Request received', method },
      { msg: 'Request done', method, status: 101 },
    ])
  })

  it('is a WebSocket and nothing else', async () => {
    const [alice] = people('alice')
    expectError(await get(PATH, alice), 'InvalidRequest')
    expectError(await get(PATH, alice, { Connection: 'Upgrade', Upgrade: 'h2c' }), 'InvalidRequest')
    const answer = await get(PATH, alice, { ...UPGRADE, 'Sec-WebSocket-Version': '12' })
    expectError(answer, 'InvalidRequest')
    expect(answer.headers.get('sec-websocket-version')).toBe('13')
    expectError(await get(PATH, alice, { ...UPGRADE, 'Sec-WebSocket-Key': 'short' }), 'InvalidRequest')
  })

  it('leaves requests alone that offer an upgrade elsewhere', async () => {
    const [alice] = people('alice')
    const h2c = { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABk' }
    for (const headers of [h2c, UPGRADE]) {
      expect((await get(`${NSID}getConvos`, alice, headers)).body).toMatchObject({ conversations: [] })
      expectError(await get(`${NSID}getEpoch`, alice, headers), 'InvalidRequest')
      expectError(await get(`${NSID}sendMessage`, alice, headers), 'MethodNotAllowed')
      expectError(await get(`${NSID}nothing`, alice, headers), 'MethodNotImplemented')
    }
  })

  it('is refused in JSON before it begins', async () => {
    const [alice, eve] = people('alice', 'eve')
    const [convoId, other] = [await createConvo(alice), await createConvo(alice)]
    const { cursor } = await (await open(alice, { convoId })).until('caughtUp')
    const token = await alice.token()
    expectError(await refusal({}), 'AuthenticationRequired')
    expectError(await refusal({ token: 'a.b.c' }), 'InvalidToken')
    expectError(await refusal({ ticket: 'nonsense' }), 'InvalidToken')
    expectError(await refusal({ token, cursor: 'nonsense' }), 'InvalidCursor')
    expectError(await refusal({ token, cursor, convoId: other }), 'InvalidCursor')
    expectError(await refusal({ token, convoId: newGroupId() }), 'ConvoNotFound')
    expectError(await refusal({ token: await eve.token(), convoId }), 'ConvoNotFound')
  })

  it('ends at once for a cursor of the future, by name, and takes no place', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice)
    for (const options of [{}, { convoId }]) {
      const now = await open(alice, options)
      const { cursor } = await now.until('caughtUp')
      await now.close()
      const since = { kind: 'snapshot', snapshot: { xmax: 2 ** 40, xip: [] } } as const
      const future = writeStreamCursor({ ...readStreamCursor(cursor), since })
      for (let i = 0; i < 6; i++) {
        const reader = await open(alice, { ...options, cursor: future })
        expectFrameError(await reader.ended, 'FutureCursor')
        expect(reader.events).toEqual([])
      }
    }
    await isClosed()
    for (let i = 0; i < 5; i++) await (await open(alice)).until('caughtUp')
  })

  it('ends by name for a reader that does not keep up, with the cursor to go on from', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const reader = await open(alice)
    await reader.until('caughtUp')
    reader.pause()
    const closes = async () =>
      (await Scrape.of(server().url)).value('stream_closes_total', { reason: 'slow' })
    const before = await closes()
    for (let i = 0; (await closes()) === before && i < 100; i++) await send(alice, convoId, 400_000)
    reader.resume()
    const end = await reader.ended
    expectFrameError(end, 'ConsumerTooSlow')
    const cursor = /cursor=([\w-]+)/.exec(end.error!.message!)![1]!
    const again = await open(alice, { cursor, convoId: undefined })
    await again.until('caughtUp')
    const seqsIn = (events: readonly StreamEvent[]) =>
      events.flatMap((event) => (event.type === 'messageEvent' ? [event.message.seq] : []))
    const [had, rest] = [seqsIn(reader.events), seqsIn(again.events)]
    const { lastSeq } = await alice.ok('getEpoch', { convoId })
    expect(had).toEqual(ascending(had.length))
    expect(rest).toEqual(ascending(lastSeq! - rest[0]! + 1, rest[0]))
    expect(had.length + 1 - rest[0]!).toBeGreaterThanOrEqual(0)
    expect(had.length + 1 - rest[0]!).toBeLessThanOrEqual(1)
  })

  it('reads nothing of what is sent to it, within limits', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const socket = await openSocket(alice)
    for (const text of ['hello', '', '{"cursor":"0"}', Buffer.alloc(1000), 'x'.repeat(1000)])
      socket.send(text)
    socket.ping('are you there?')
    expect(String((await once(socket, 'pong'))[0])).toBe('are you there?')
    const next = once(socket, 'message')
    await send(alice, convoId)
    expect(decodeFrame((await next)[0])).toMatchObject({
      event: { type: 'messageEvent', message: { seq: 1 } },
    })
    socket.on('error', () => {})
    socket.send('x'.repeat(100_000))
    expect((await once(socket, 'close'))[0]).toBe(MESSAGE_TOO_BIG)
    await isClosed()
  })

  it('closes with the handshake of the protocol when its reader asks for it', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    for (const code of [1000, 1001, 3000]) {
      const socket = await openSocket(alice)
      const closed = once(socket, 'close')
      socket.close(code, 'enough')
      // Events that come meanwhile do no harm.
      await send(alice, convoId)
      expect((await closed)[0]).toBe(code)
      await isClosed()
    }
    expect(server().logs.filter(({ level }) => level === 'ERROR')).toEqual([])
  })
})
