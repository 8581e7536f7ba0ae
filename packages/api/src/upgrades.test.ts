import { EventEmitter, once } from 'node:events'
import type { IncomingMessage, Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { RefusalError } from '@catbird/shared/errors'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import type { Config } from './config.ts'
import type { SocketConnection } from './events/socket-connection.ts'
import { closeServer, listen } from './http-server.ts'
import { type UpgradeHandlers, Upgrades } from './upgrades.ts'

const PATH = '/xrpc/blue.catbird.mls.subscribeConvoEvents'
const HANDSHAKE = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
}
/** A text message "hi", as clients send it. */
const MASKED_HI = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])
/** A ping of one byte and the pong to it. */
const MASKED_PING = Buffer.from([0x89, 0x81, 0, 0, 0, 0, 0x7a])
const PONG = Buffer.from([0x8a, 0x01, 0x7a])
const FRAME = Buffer.from('frame')
const until = (holds: () => void) => vi.waitFor(holds, { interval: 2, timeout: 10_000 })

describe('an upgrade', () => {
  let server: Server
  let upgrades: Upgrades
  let open: UpgradeHandlers['open']
  let opened: EventEmitter
  let clients: Socket[]
  let connections: SocketConnection[]
  let faults: unknown[]
  let sockets: Socket[]

  beforeAll(async () => {
    upgrades = new Upgrades({
      open: (request, socket) => {
        sockets.push(socket)
        opened.emit('open')
        return open(request, socket)
      },
      onFault: (fault) => faults.push(fault),
      moreHeaders: ({ url }) => ({ 'X-Request-Id': `id of ${url}` }),
      publicUrl: 'https://mls.example',
    })
    server = await start(upgrades)
  })
  afterAll(() => closeServer(server, 0, upgrades))
  beforeEach(() => {
    opened = new EventEmitter()
    clients = []
    connections = []
    faults = []
    sockets = []
    open = async () => (connection) => connections.push(connection)
  })
  afterEach(() => {
    for (const client of clients) client.destroy()
  })

  const dial = (text: string | Buffer) => {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    client.on('error', () => {})
    client.write(text)
    clients.push(client)
    return { client, heard: listenTo(client) }
  }
  const request = (headers: Record<string, string> = HANDSHAKE, path = PATH, method = 'GET') =>
    `${method} ${path} HTTP/1.1\r\nHost: test\r\n${Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}\r\n`
  /** The whole answer to one that is hung up after it. */
  const refused = async (text: string | Buffer) => {
    const { client, heard } = dial(text)
    await once(client, 'close')
    const [head, body] = heard.text().split('\r\n\r\n')
    const [line, ...lines] = head!.split('\r\n')
    const headers = Object.fromEntries(lines.map((pair) => pair.split(': ') as [string, string]))
    expect(headers).toMatchObject({
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      'Content-Length': `${Buffer.byteLength(body!)}`,
      Connection: 'close',
      'X-Request-Id': `id of ${PATH}`,
      'Access-Control-Allow-Origin': '*',
      'X-Content-Type-Options': 'nosniff',
      'Strict-Transport-Security': 'max-age=15552000',
    })
    expect(connections).toEqual([])
    return { line, headers, body: JSON.parse(body!) }
  }

  it('makes a request a stream, whatever its query', async () => {
    const client = new WebSocket(
      `ws://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}?cursor=0&ticket=t`,
    )
    const messages: Buffer[] = []
    client.on('message', (message: Buffer) => messages.push(message))
    await once(client, 'open')
    connections[0]!.send([FRAME])
    connections[0]!.end()
    await once(client, 'close')
    expect(messages).toEqual([FRAME])
  })

  it('heeds what came with the request and while it was decided', async () => {
    const decided = Promise.withResolvers<void>()
    open = () => decided.promise.then(() => (connection) => connections.push(connection))
    const { client, heard } = dial(
      Buffer.concat([Buffer.from(request()), MASKED_HI, MASKED_PING.subarray(0, 3)]),
    )
    await once(opened, 'open')
    for (const byte of MASKED_PING.subarray(3)) {
      client.write(Buffer.from([byte]))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    decided.resolve()
    await until(() => expect(heard.bytes().subarray(-3)).toEqual(PONG))
    expect(heard.text()).toMatch(/^HTTP\/1.1 101 /)
  })

  it('is refused by name, with the headers of every answer', async () => {
    open = async () => {
      throw new RefusalError('RateLimitExceeded', 'too many streams', { limit: 5 })
    }
    const { line, headers, body } = await refused(request())
    expect(line).toBe('HTTP/1.1 429 Too Many Requests')
    expect(headers['Retry-After']).toBe('1')
    expect(body).toEqual({ error: 'RateLimitExceeded', message: 'too many streams (limit=5)', limit: 5 })
    expect(faults).toEqual([])
  })

  it('is refused when a fault keeps it from being decided, or begun', async () => {
    const fault = new Error('fault')
    open = async () => {
      throw fault
    }
    expect(await refused(Buffer.concat([Buffer.from(request()), MASKED_HI]))).toMatchObject({
      line: 'HTTP/1.1 500 Internal Server Error',
      body: { error: 'InternalServerError', message: 'internal error' },
    })
    open = async () => () => {
      throw fault
    }
    await once(dial(request()).client, 'close')
    expect(faults).toEqual([fault, fault])
  })

  it.each([
    ['a bad key', { ...HANDSHAKE, 'Sec-WebSocket-Key': 'short' }],
    ['another version', { ...HANDSHAKE, 'Sec-WebSocket-Version': '7' }],
    ['a bad list of protocols', { ...HANDSHAKE, 'Sec-WebSocket-Protocol': ',' }],
  ])('with %s is refused before anything is asked about it', async (_what, headers) => {
    const answer = await refused(request(headers))
    expect(answer.line).toBe('HTTP/1.1 400 Bad Request')
    expect(answer.body).toMatchObject({
      error: 'InvalidRequest',
      message: expect.stringContaining('Sec-WebSocket'),
    })
    expect(answer.headers['Sec-WebSocket-Version']).toBe('13')
    expect(sockets).toEqual([])
  })

  it('that nobody waits for any more does not happen', async () => {
    const decided = Promise.withResolvers<void>()
    open = () => decided.promise.then(() => (connection) => connections.push(connection))
    const leaves: ((client: Socket) => unknown)[] = [
      (client) => client.destroy(),
      (client) => client.end(),
      (client) => client.resetAndDestroy(),
      (client) => client.write(Buffer.alloc(5000)),
    ]
    for (const leave of leaves) {
      const { client } = dial(request())
      await once(opened, 'open')
      leave(client)
      await until(() => expect(sockets.at(-1)!.closed).toBe(true))
    }
    decided.resolve()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(connections).toEqual([])
    expect(faults).toEqual([])
  })

  it('behind an unanswered request does not happen', async () => {
    const { client } = dial(request({}, '/never') + request())
    await once(client, 'close')
    expect(sockets).toEqual([])
  })

  it.each<[string, string]>([
    ['another path', request(HANDSHAKE, '/xrpc/blue.catbird.mls.streamConvoEvents')],
    ['a path that begins alike', request(HANDSHAKE, `${PATH}s`)],
    ['another protocol', request({ ...HANDSHAKE, Upgrade: 'h2c' })],
    ['another verb', request({ ...HANDSHAKE, 'Content-Length': '0' }, PATH, 'POST')],
  ])('to %s is not made: the request is answered like any other', async (_what, text) => {
    const { heard } = dial(text)
    await until(() => expect(heard.text()).toContain('ordinary'))
    expect(heard.text()).toMatch(/^HTTP\/1.1 200 OK/)
    expect(sockets).toEqual([])
  })

  it('is pinged once in thirty sweeps, and gone after sixty when it does not answer', async () => {
    const { client, heard } = dial(request())
    await until(() => expect(connections).toHaveLength(1))
    await until(() => expect(heard.text()).toContain('\r\n\r\n'))
    heard.pieces.length = 0
    for (let sweep = 0; sweep < 30; sweep++) upgrades.pingNext()
    await until(() => expect(heard.bytes()).toEqual(Buffer.from([0x89, 0x00])))
    expect(client.closed).toBe(false)
    for (let sweep = 0; sweep < 30; sweep++) upgrades.pingNext()
    await once(client, 'close')
  })

  it('does not hold up a server that closes beyond its deadline, decided or not', async () => {
    const other = new Upgrades({
      open: ({ url }: IncomingMessage) => (url === PATH ? Promise.resolve(() => {}) : new Promise(() => {})),
      onFault: () => {},
      publicUrl: undefined,
    })
    const closing = await start(other)
    const { port } = closing.address() as AddressInfo
    const [decided, undecided] = [PATH, `${PATH}?undecided`].map((path) => {
      const client = connect(port, '127.0.0.1')
      client.write(request(HANDSHAKE, path))
      clients.push(client)
      return { client, heard: listenTo(client) }
    })
    await until(() => expect(decided!.heard.text()).toContain('101'))
    const startedMs = Date.now()
    await closeServer(closing, startedMs + 300, other)
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(290)
    expect(undecided!.heard.text()).toBe('')
  })
})

function start(upgrades: Upgrades): Promise<Server> {
  const config = {
    server: { host: '127.0.0.1', port: 0, requestTimeoutMs: 10_000, maxStreams: 100 },
  } as Config
  const fetch = async ({ url }: Request) =>
    url.endsWith('/never') ? new Promise<never>(() => {}) : new Response('ordinary')
  return listen(fetch, config, upgrades)
}

function listenTo(client: Socket) {
  const pieces: Buffer[] = []
  client.on('data', (piece) => pieces.push(piece))
  const bytes = () => Buffer.concat(pieces)
  return { pieces, bytes, text: () => bytes().toString('latin1') }
}
