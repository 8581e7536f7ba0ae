import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { MODES, startTestServer } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

const SEND = '/xrpc/blue.catbird.mls.sendMessage'
const STREAM = '/xrpc/blue.catbird.mls.streamConvoEvents'
const SUBSCRIBE = '/xrpc/blue.catbird.mls.subscribeConvoEvents'
const EXPOSED = [
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'RateLimit-Policy',
  'Retry-After',
  'X-Request-Id',
  'WWW-Authenticate',
]
const names = (value: string | null) =>
  (value ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .toSorted()

describe('browsers', () => {
  const { as, server } = useServer(MODES[2].env)
  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`${server().url}${path}`, { ...init, headers: { Origin: 'https://app.example', ...init.headers } })
  const preflight = (path: string, method = 'POST') =>
    ask(path, {
      method: 'OPTIONS',
      headers: {
        'Access-Control-Request-Method': method,
        'Access-Control-Request-Headers': 'authorization,content-type,atproto-proxy',
      },
    })

  it.each([SEND, STREAM, SUBSCRIBE, '/xrpc/_health', '/xrpc/no.such.method', '/.well-known/did.json'])(
    'may ask before they call %s, and remember the answer for a day',
    async (path) => {
      const { status, headers } = await preflight(path)
      expect(status).toBe(204)
      expect(headers.get('access-control-allow-origin')).toBe('*')
      expect(headers.get('access-control-allow-credentials')).toBeNull()
      expect(names(headers.get('access-control-allow-methods'))).toEqual(['get', 'options', 'post'])
      expect(names(headers.get('access-control-allow-headers'))).toEqual([
        'atproto-accept-labelers',
        'atproto-proxy',
        'authorization',
        'content-type',
        'last-event-id',
      ])
      expect(headers.get('access-control-max-age')).toBe('86400')
    },
  )

  it('cause neither an authentication nor a request to a method by asking', async () => {
    const before = server().logs.length
    await preflight(SEND)
    await preflight(SEND, 'GET')
    expect(server().logs.slice(before)).toEqual([])
  })

  it('may read answers, refusals included, and the headers that tell how to go on', async () => {
    const alice = as('did:plc:alice')
    const authorization = { Authorization: `Bearer ${await alice.token()}` }
    const answers = [
      await ask('/xrpc/blue.catbird.mls.getConvos', { headers: authorization }),
      await ask('/xrpc/blue.catbird.mls.getConvos'),
      await ask(SEND),
      await ask('/xrpc/no.such.method'),
      await ask('/xrpc/_health'),
      await ask('/.well-known/did.json'),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 405, 501, 200, 200])
    for (const { headers, url } of answers) {
      expect(headers.get('access-control-allow-origin'), url).toBe('*')
      expect(headers.get('access-control-allow-credentials'), url).toBeNull()
      expect(names(headers.get('access-control-expose-headers')), url).toEqual(names(EXPOSED.join(',')))
    }
    expect(answers[0]!.headers.get('x-request-id')).toBeTruthy()
  })

  it('may read streams by EventSource, and why there is none', async () => {
    const token = await as('did:plc:alice').token()
    const answers = [
      await ask(STREAM, { headers: { Authorization: `Bearer ${token}` } }),
      await ask(`${STREAM}?ticket=nonsense`),
      await ask(`${STREAM}?cursor=nonsense`, { headers: { Authorization: `Bearer ${token}` } }),
      await ask(SUBSCRIBE),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 400, 401])
    for (const { headers, url } of answers) {
      expect(headers.get('access-control-allow-origin'), url).toBe('*')
      expect(headers.get('access-control-allow-credentials'), url).toBeNull()
      expect(names(headers.get('access-control-expose-headers')), url).toEqual(names(EXPOSED.join(',')))
      expect(headers.get('x-content-type-options'), url).toBe('nosniff')
      expect(headers.get('cache-control'), url).toContain('no-store')
      expect(headers.get('x-request-id'), url).toBeTruthy()
    }
    await answers[0]!.body!.cancel()
  })

  it('may open WebSockets from wherever they are', async () => {
    const url = `${server().url}${SUBSCRIBE}`
    const authorization = { Authorization: `Bearer ${await as('did:plc:alice').token()}` }
    for (const origin of ['https://app.example', 'null', 'http://localhost:8080']) {
      const socket = new WebSocket(url, { origin, headers: authorization })
      await once(socket, 'message')
      socket.terminate()
    }
    const refused = new WebSocket(url, { origin: 'https://app.example' })
    refused.on('error', () => {})
    const [, { statusCode, headers }] = await once(refused, 'unexpected-response')
    refused.terminate()
    expect(statusCode).toBe(401)
    expect(headers).toMatchObject({
      'access-control-allow-origin': '*',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    expect(names(headers['access-control-expose-headers'])).toEqual(names(EXPOSED.join(',')))
  })

  it('may not read what is for operators', async () => {
    for (const path of ['/', '/health', '/health/ready', '/metrics', '/nothing']) {
      expect((await ask(path)).headers.get('access-control-allow-origin'), path).toBeNull()
    }
  })

  it('are told to run and to frame nothing', async () => {
    const paths = ['/', '/health', '/metrics', '/nothing', '/.well-known/did.json', '/xrpc/_health', SEND]
    const answers = [...(await Promise.all(paths.map((path) => ask(path)))), await preflight(SEND)]
    for (const { headers, url } of answers) {
      expect(headers.get('x-content-type-options'), url).toBe('nosniff')
      expect(headers.get('referrer-policy'), url).toBe('no-referrer')
      expect(headers.get('content-security-policy'), url).toBe("default-src 'none'; frame-ancestors 'none'")
      expect(headers.get('cross-origin-resource-policy'), url).toBe('cross-origin')
      // SERVICE_DID makes the public URL an https one.
      expect(headers.get('strict-transport-security'), url).toBe('max-age=15552000')
    }
  })
})

describe('browsers of a server without HTTPS', () => {
  const { server } = useServer({ ...MODES[2].env, PUBLIC_URL: 'http://localhost:3000' })

  it('are not told to insist on it', async () => {
    for (const path of ['/', SEND]) {
      const { headers } = await fetch(`${server().url}${path}`)
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('strict-transport-security')).toBeNull()
    }
  })
})

describe('browsers of a server that drains', () => {
  it('may ask all the same', async () => {
    const server = await startTestServer(MODES[2].env)
    const begun = connect(Number(new URL(server.url).port), '127.0.0.1')
    begun.write(`OPTIONS ${SEND} HTTP/1.1\r\nHost: localhost\r\n`)
    // Answered after the connection above was taken.
    await fetch(`${server.url}/xrpc/_health`)
    const stopped = server.stop()
    begun.write('Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\r\n')
    const [answer] = await once(begun, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 204 /)
    begun.destroy()
    await stopped
  })
})
