import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { encode } from '@atproto/lex-cbor'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws'
import { errorFrame } from './frame.ts'
import { SocketConnection, WEB_SOCKET_OPTIONS } from './socket-connection.ts'

const MIB = 2 ** 20
const MEBIBYTES = Array.from({ length: 12 }, (_, i) => Buffer.alloc(MIB, i))
const FRAME = Buffer.concat([encode({ op: 1, t: '#infoEvent' }), encode({ cursor: 'a', info: 'heartbeat' })])
const until = (holds: () => void) => vi.waitFor(holds, { interval: 2, timeout: 10_000 })
const turn = () => new Promise((resolve) => setTimeout(resolve, 50))

describe('a stream over a WebSocket', () => {
  let server: Server
  let clients: WebSocket[]
  let streams: SocketConnection[]
  let sockets: Socket[]
  let closes: number

  beforeAll(async () => {
    server = createServer()
    const webSockets = new WebSocketServer({ ...WEB_SOCKET_OPTIONS, noServer: true })
    server.on('upgrade', (request, _socket, head) => {
      webSockets.handleUpgrade(request, request.socket, head, (webSocket) => {
        const stream = new SocketConnection(webSocket, request.socket)
        stream.onClose(() => closes++)
        streams.push(stream)
        sockets.push(request.socket)
      })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
  })
  afterAll(() => server.close())
  beforeEach(() => {
    clients = []
    streams = []
    sockets = []
    closes = 0
  })
  afterEach(async () => {
    vi.useRealTimers()
    for (const client of clients) client.terminate()
    await until(() => expect(closes).toBe(streams.length))
  })

  const open = async (options: ClientOptions = {}) => {
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, options)
    client.on('error', () => {})
    clients.push(client)
    const messages: Buffer[] = []
    client.on('message', (data: Buffer, isBinary) => {
      expect(isBinary).toBe(true)
      messages.push(data)
    })
    await once(client, 'open')
    return { client, messages, stream: streams.at(-1)!, socket: sockets.at(-1)! }
  }
  /** One whose peer does not read, and that has more to send than the kernel takes. */
  const frozen = async () => {
    const opened = await open()
    opened.client.pause()
    opened.stream.send(MEBIBYTES)
    expect(opened.stream.backlog).toBeGreaterThan(MIB)
    return opened
  }

  it('brings every frame as a message, byte by byte and in order, uncompressed', async () => {
    const { client, messages, stream } = await open({ perMessageDeflate: true })
    expect(client.extensions).toBe('')
    const frames = [0, 125, 126, 65_535, 65_536, 1, 2].map((size, i) => Buffer.alloc(size, i))
    stream.send(frames.slice(0, 5))
    stream.send([])
    for (const frame of frames.slice(5)) stream.send([frame])
    await until(() => expect(messages).toHaveLength(frames.length))
    expect(messages).toEqual(frames)
    expect(stream.backlog).toBe(0)
  })

  it('sends the frames of one call in one go', async () => {
    const { messages, stream, socket } = await open()
    const writes = vi.spyOn(socket, '_writev' as '_write')
    const write = vi.spyOn(socket, '_write')
    stream.send([FRAME, FRAME, FRAME])
    expect([writes.mock.calls.length, write.mock.calls.length]).toEqual([1, 0])
    await until(() => expect(messages).toHaveLength(3))
  })

  it('says once that all is gone: soon when nothing waits, else when the peer has read', async () => {
    const { client, messages, stream } = await frozen()
    const { stream: idle } = await open()
    const drained = vi.fn(() => expect(stream.backlog).toBe(0))
    const idleDrained = vi.fn()
    stream.whenDrained(drained)
    idle.whenDrained(idleDrained)
    await until(() => expect(idleDrained).toHaveBeenCalledTimes(1))
    expect(drained).not.toHaveBeenCalled()
    client.resume()
    await until(() => expect(messages).not.toEqual([]))
    stream.send([...MEBIBYTES, FRAME])
    await until(() => expect(messages).toHaveLength(25))
    expect(Buffer.concat(messages).equals(Buffer.concat([...MEBIBYTES, ...MEBIBYTES, FRAME]))).toBe(true)
    await until(() => expect(drained).toHaveBeenCalledTimes(1))
  })

  it.each<[string, Buffer | undefined, number]>([
    ['an event', FRAME, 1001],
    ['nothing', undefined, 1001],
    ['an error', errorFrame('ConsumerTooSlow', 'the reader fell behind'), 1008],
  ])('ends after %s, with the code of that', async (_what, last, code) => {
    const { client, messages, stream } = await open()
    stream.send([FRAME])
    stream.end(last)
    stream.send([FRAME])
    stream.end(FRAME)
    expect(await once(client, 'close')).toEqual([code, Buffer.alloc(0)])
    expect(messages).toEqual(last ? [FRAME, last] : [FRAME])
    await until(() => expect(closes).toBe(1))
  })

  it('cuts off after 5 s who does not answer its end, and forgets what waited', async () => {
    const { stream } = await frozen()
    const drained = vi.fn()
    stream.whenDrained(drained)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    stream.end(FRAME)
    stream.whenDrained(drained)
    vi.advanceTimersByTime(4999)
    await new Promise(setImmediate)
    stream.send([FRAME])
    stream.end(FRAME)
    await new Promise(setImmediate)
    expect(stream.backlog).toBeGreaterThan(MIB)
    vi.advanceTimersByTime(1)
    vi.useRealTimers()
    await until(() => expect(drained).toHaveBeenCalledTimes(2))
    expect(closes).toBe(1)
    expect(stream.backlog).toBe(0)
  })

  it.each<[string, (client: WebSocket, stream: SocketConnection) => unknown]>([
    ['says so', (client) => [client.resume(), client.close()]],
    ['vanishes', (client) => client.terminate()],
    ['resets', (client) => socketOf(client).resetAndDestroy()],
    ['closes its side only', (client) => socketOf(client).end()],
    ['vanishes while the server ends', (client, stream) => [client.terminate(), stream.end(FRAME)]],
    ['sends too much', (client) => [client.resume(), client.send(Buffer.alloc(1025))]],
    ['sends fragments without end', (client) => [client.resume(), sendFragments(client)]],
    [
      'sends what is no frame',
      (client) => [client.resume(), socketOf(client).write('GET / HTTP/1.1\r\n\r\n')],
    ],
  ])('tells once that a peer is gone who %s, and nothing after that does harm', async (_how, leave) => {
    for (const { client, stream } of [await open(), await frozen()]) {
      const before = closes
      leave(client, stream)
      await until(() => expect(closes).toBe(before + 1))
      const told = vi.fn()
      stream.send([FRAME, FRAME])
      stream.whenDrained(told)
      stream.onClose(told)
      stream.ping()
      stream.ping()
      stream.end(FRAME)
      stream.end()
      await until(() => expect(told).toHaveBeenCalledTimes(2))
      expect(stream.backlog).toBe(0)
      expect(closes).toBe(before + 1)
    }
  })

  it('tells a peer that sends too much so, and ignores what is not', async () => {
    const { client, messages, stream } = await open()
    client.send(Buffer.alloc(1024))
    client.send('hello')
    client.ping()
    await once(client, 'pong')
    stream.send([FRAME])
    await until(() => expect(messages).toEqual([FRAME]))
    client.send(Buffer.alloc(1025))
    const [code] = await once(client, 'close')
    expect(code).toBe(1009)
  })

  it('is ended by the ping after one without an answer', async () => {
    const alive = await open()
    const dead = await open({ autoPong: false })
    for (let round = 0; round < 3; round++) {
      const answered = once(alive.client, 'ping')
      alive.stream.ping()
      if (round < 2) dead.stream.ping()
      await answered
      await turn()
      expect(closes).toBe(round < 1 ? 0 : 1)
    }
    expect(dead.client.readyState).toBe(WebSocket.CLOSED)
    alive.stream.send([FRAME])
    await until(() => expect(alive.messages).toEqual([FRAME]))
  })
})

function socketOf(client: WebSocket): Socket {
  return (client as WebSocket & { _socket: Socket })._socket
}

function sendFragments(client: WebSocket): void {
  for (let i = 0; i < 20; i++) client.send(Buffer.alloc(1), { fin: false })
}
