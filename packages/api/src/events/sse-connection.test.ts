import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Config } from '../config.ts'
import { closeServer, listen } from '../http-server.ts'
import { Upgrades } from '../upgrades.ts'
import { SseConnection } from './sse-connection.ts'

const MIB = 2 ** 20
const MEBIBYTES = Array.from({ length: 12 }, (_, i) => Buffer.alloc(MIB, i))
const FRAME = Buffer.from('id: 1\ndata: {"type":"infoEvent"}\n\n')
const HEADERS = { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'max-age=1' }

const until = (holds: () => void) => vi.waitFor(holds, { interval: 2, timeout: 10_000 })

const NO_UPGRADES = new Upgrades({
  open: () => Promise.reject(new Error('no WebSocket is expected here')),
  onFault() {},
  publicUrl: undefined,
})

describe('a stream of Server-Sent Events', () => {
  let server: Server
  let clients: Socket[]
  let streams: SseConnection[]
  let closes: number
  /** Passes before a stream begins, like authentication. */
  let delay: () => Promise<unknown>

  beforeAll(async () => {
    const app = new Hono<{ Bindings: HttpBindings }>()
    app.get('/slow', () => new Promise<Response>(() => {}))
    app.get('/stream', async (c) => {
      await delay()
      const stream = new SseConnection(c.env.outgoing)
      stream.onClose(() => closes++)
      stream.begin(HEADERS)
      streams.push(stream)
      return RESPONSE_ALREADY_SENT
    })
    server = await start(app.fetch)
  })
  afterAll(() => closeServer(server, 0, NO_UPGRADES))
  beforeEach(() => {
    clients = []
    streams = []
    closes = 0
    delay = async () => {}
  })
  afterEach(async () => {
    for (const client of clients) client.destroy()
    await until(() => expect(closes).toBe(streams.length))
  })

  const dial = (text: string) => {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    client.on('error', () => {})
    client.write(text)
    clients.push(client)
    return client
  }
  const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`
  const open = async () => {
    const count = streams.length
    const client = dial(request('/stream'))
    await until(() => expect(streams).toHaveLength(count + 1))
    return { client, stream: streams[count]! }
  }
  const opened = async () => {
    const { client, stream } = await open()
    const heard = listenTo(client)
    await until(() => expect(heard.text()).toContain('\r\n\r\n'))
    return { client, stream, heard }
  }
  /** One whose peer does not read, and that has more to send than the kernel takes. */
  const frozen = async () => {
    const { client, stream } = await open()
    client.pause()
    stream.send(MEBIBYTES)
    expect(stream.backlog).toBeGreaterThan(MIB)
    return { client, stream }
  }

  it('begins at once, and no buffer in between and no chunk delays or wraps it', async () => {
    const { heard } = await opened()
    const head = heard.text().toLowerCase()
    expect(head).toMatch(/^http\/1.1 200 ok\r\n/)
    for (const line of [
      'content-type: text/event-stream',
      'cache-control: no-store',
      'x-accel-buffering: no',
      'access-control-allow-origin: *',
      'connection: close',
    ]) {
      expect(head.split('\r\n')).toContain(line)
    }
    expect(head).not.toContain('transfer-encoding')
  })

  it('brings every frame byte by byte in its order, those of one call together', async () => {
    const { stream, heard } = await opened()
    const frames = Array.from({ length: 300 }, (_, i) =>
      Buffer.from(`id: ${i}\ndata: é😀 ${'x'.repeat(i)}\n\n`),
    )
    heard.pieces.length = 0
    stream.send(frames.slice(0, 5))
    await until(() => expect(heard.pieces).toHaveLength(1))
    stream.send([])
    for (let i = 5; i < frames.length; i += 59) stream.send(frames.slice(i, i + 59))
    const sent = Buffer.concat(frames)
    await until(() => expect(heard.bytes().length).toBe(sent.length))
    expect(heard.bytes().equals(sent)).toBe(true)
    expect(stream.backlog).toBe(0)
  })

  it('says once that all is gone: soon when nothing waits, else when the peer has read', async () => {
    const { client, stream } = await frozen()
    const { stream: idle } = await open()
    const drained = vi.fn(() => expect(stream.backlog).toBe(0))
    const idleDrained = vi.fn()
    stream.whenDrained(drained)
    idle.whenDrained(idleDrained)
    expect(idleDrained).not.toHaveBeenCalled()
    await until(() => expect(idleDrained).toHaveBeenCalledTimes(1))
    expect(drained).not.toHaveBeenCalled()
    const heard = listenTo(client)
    client.resume()
    await until(() => expect(heard.bytes().length).toBeGreaterThan(MIB))
    stream.send([...MEBIBYTES, FRAME])
    const sent = Buffer.concat([...MEBIBYTES, ...MEBIBYTES, FRAME])
    await until(() => expect(heard.bytes().length).toBeGreaterThan(sent.length))
    expect(heard.bytes().subarray(-sent.length).equals(sent)).toBe(true)
    await until(() => expect(drained).toHaveBeenCalledTimes(1))
  })

  it('sends the last frame and hangs up', async () => {
    const { client, stream, heard } = await opened()
    stream.send([FRAME])
    stream.end(Buffer.from('data: bye\n\n'))
    stream.send([FRAME])
    stream.end(FRAME)
    await once(client, 'close')
    expect(heard.text()).toMatch(/\r\n\r\nid: 1\ndata: {"type":"infoEvent"}\n\ndata: bye\n\n$/)
    await until(() => expect(closes).toBe(1))
  })

  it('cuts off after 5 s who does not read its end, and forgets what waited', async () => {
    const { stream } = await frozen()
    const drained = vi.fn()
    stream.whenDrained(drained)
    vi.useFakeTimers({ toFake: ['setTimeout'] })
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

  it.each<[string, (client: Socket, stream: SseConnection) => unknown]>([
    ['closes', (client) => client.destroy()],
    ['resets', (client) => client.resetAndDestroy()],
    ['closes its side only', (client) => client.end()],
    ['sends what is not HTTP', (client) => client.write('nonsense\r\n\r\n')],
    ['closes while the server ends', (client, stream) => [client.destroy(), stream.end(FRAME)]],
  ])('tells once that a peer is gone who %s, and nothing after that does harm', async (_how, leave) => {
    for (const { client, stream } of [await open(), await frozen()]) {
      const before = closes
      leave(client, stream)
      await until(() => expect(closes).toBe(before + 1))
      const told = vi.fn()
      stream.send([FRAME, FRAME])
      stream.whenDrained(told)
      stream.onClose(told)
      stream.end(FRAME)
      stream.end()
      await until(() => expect(told).toHaveBeenCalledTimes(2))
      expect(stream.backlog).toBe(0)
      expect(closes).toBe(before + 1)
    }
  })

  it.each(['destroy', 'end'] as const)('of a peer that left before it began is over (%s)', async (leave) => {
    delay = () => until(() => expect(gone).toBe(true))
    let gone = false
    const client = dial(request('/stream'))
    await new Promise((resolve) => server.once('request', resolve))
    client[leave]()
    await once(client, 'close')
    gone = true
    await until(() => expect(closes).toBe(1))
    streams[0]!.send([FRAME])
    streams[0]!.end()
  })

  it('is over when its peer leaves that had sent a body', async () => {
    const length = 200_000
    const client = dial(`GET /stream HTTP/1.1\r\nHost: test\r\nContent-Length: ${2 * length}\r\n\r\n`)
    await until(() => expect(streams).toHaveLength(1))
    await new Promise((resolve) => client.write(Buffer.alloc(length), resolve))
    client.destroy()
    await until(() => expect(closes).toBe(1))
  })

  it('outlives the timeout of ordinary connections', async () => {
    const usual = server.timeout
    server.timeout = 50
    const { stream, heard } = await opened()
    server.timeout = usual
    await new Promise((resolve) => setTimeout(resolve, 300))
    stream.send([FRAME])
    await until(() => expect(heard.text()).toContain(FRAME.toString()))
  })

  it('does not begin behind an unanswered request, and lets no crowd of requests gather behind it', async () => {
    await once(dial(request('/slow') + request('/stream')), 'close')
    await until(() => expect(closes).toBe(1))
    const crowded = dial(request('/slow').repeat(33))
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(crowded.closed).toBe(false)
    crowded.write(request('/slow'))
    await once(crowded, 'close')
    // Behind a stream its answer would wait without end.
    const { client } = await opened()
    client.write(request('/slow'))
    await once(client, 'close')
  })
})

describe('a server that closes', () => {
  it('waits for streams that are ended, cuts the others at its deadline', async () => {
    const streams: SseConnection[] = []
    const app = new Hono<{ Bindings: HttpBindings }>().get('/', (c) => {
      const stream = new SseConnection(c.env.outgoing)
      stream.begin({})
      streams.push(stream)
      return RESPONSE_ALREADY_SENT
    })
    const server = await start(app.fetch)
    const clients = [0, 1].map(() => connect((server.address() as AddressInfo).port, '127.0.0.1'))
    const heard = clients.map(listenTo)
    for (const client of clients) client.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n')
    await until(() => expect(streams).toHaveLength(2))
    const startedMs = Date.now()
    const closed = closeServer(server, startedMs + 500, NO_UPGRADES)
    streams[0]!.end(FRAME)
    await closed
    expect(Date.now() - startedMs).toBeGreaterThan(400)
    expect(heard.filter(({ text }) => text().endsWith(FRAME.toString()))).toHaveLength(1)
  })
})

function start(fetch: Hono<{ Bindings: HttpBindings }>['fetch']): Promise<Server> {
  const config = { server: { host: '127.0.0.1', port: 0, requestTimeoutMs: 10_000, maxStreams: 100 } }
  return listen(fetch as Parameters<typeof listen>[0], config as Config, NO_UPGRADES)
}

function listenTo(client: Socket) {
  const pieces: Buffer[] = []
  client.on('data', (piece) => pieces.push(piece))
  const bytes = () => Buffer.concat(pieces)
  return { pieces, bytes, text: () => bytes().toString() }
}
