import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { openRequest } from '../support/http.ts'
import { Scrape } from '../support/scrape.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

const MIB = 2 ** 20
const SEND = '/xrpc/blue.catbird.mls.sendMessage'
const UPGRADE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${'a'.repeat(22)}==`,
]

describe('a server that waits 2 s and holds at most 16 MiB', () => {
  const { as, server } = useServer({
    ...MODES[0].env,
    REQUEST_TIMEOUT_MS: '2000',
    MAX_INFLIGHT_BYTES: `${16 * MIB}`,
  })
  const openBody = (authorization: string, length: number, sent: number | string) =>
    openRequest(`${server().url}${SEND}`, {
      headers: { Authorization: authorization, 'Content-Type': 'application/json', 'Content-Length': length },
      body: typeof sent === 'number' ? Buffer.alloc(sent, ' ') : sent,
      end: false,
    })
  /** Sends bytes as they are and answers everything that comes until the server hangs up. */
  const speak = async (...parts: string[]): Promise<string> => {
    const socket = connect(Number(new URL(server().url).port), '127.0.0.1')
    socket.on('error', () => {})
    for (const part of parts) socket.write(part)
    let heard = ''
    socket.on('data', (data) => {
      heard += data
    })
    await once(socket, 'close')
    return heard
  }
  const isWithoutStreams = () =>
    eventually('the end of the stream', async () => {
      return (await Scrape.of(server().url)).value('active_streams') === 0
    })
  const refusalIn = (heard: string) => {
    const [head, body] = heard.split('\r\n\r\n')
    expect(head).toMatch(/content-type: application\/json/i)
    return { status: Number(head!.split(' ')[1]), body: JSON.parse(body!) }
  }

  it('gives back all that slow and cut bodies held, by whichever end', async () => {
    const alice = as(newDid('alice'))
    const convoId = await createConvo(alice, { epoch: 0 })
    const authorization = `Bearer ${await alice.token()}`
    const ends: Promise<unknown>[] = []
    for (let round = 0; round < 20; round++) {
      const slow = openBody(authorization, 4 * MIB, 100_000)
      const cut = openBody(authorization, 4 * MIB, 200_000)
      const cutBeforeTheBody = openBody(authorization, 4 * MIB, '')
      const unasked = openBody('', 4 * MIB, 100_000)
      const noJson = openBody(authorization, 2, '{]')
      for (const { answer, outgoing } of [slow, unasked, noJson]) {
        ends.push(answer.catch(() => {}).then(() => outgoing.destroy()))
      }
      for (const { answer, outgoing } of [cut, cutBeforeTheBody]) {
        answer.catch(() => {})
        ends.push(new Promise((resolve) => setTimeout(resolve, 5 * round)).then(() => outgoing.destroy()))
      }
    }
    await Promise.all(ends)
    // In three copies this leaves no room for what is not given back; alone, it is let in whatever its size.
    const full = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, Math.floor(3.99 * MIB)) }
    await eventually('the whole budget', async () => (await alice.call('sendMessage', full)).status === 200)
    await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    expect(server().logs.filter(({ level }) => level === 'ERROR')).toEqual([])
  })

  it('takes a body in many tiny pieces for what it is worth', async () => {
    const alice = as(newDid('alice'))
    const convoId = await createConvo(alice, { epoch: 0 })
    const body = JSON.stringify({ convoId, epoch: 0, ciphertext: messageFor(convoId, 0, 20_000), é: '😀' })
    const bytes = Buffer.from(body)
    const pieces = Array.from(bytes, (byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join('')
    const socket = connect(Number(new URL(server().url).port), '127.0.0.1')
    const head = [
      `POST ${SEND} HTTP/1.1`,
      'Host: localhost',
      `Authorization: Bearer ${await alice.token()}`,
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
      'Connection: close',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    socket.write(Buffer.from(`${pieces}0\r\n\r\n`, 'latin1'))
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1.1 200 /)
    expect(await alice.ok('getEpoch', { convoId })).toMatchObject({ lastSeq: 1 })
  })

  it('refuses a flood of headers', async () => {
    const flood = Array.from({ length: 1000 }, (_, i) => `X-${i}: ${'x'.repeat(100)}\r\n`)
    const heard = await speak(`POST ${SEND} HTTP/1.1\r\nHost: localhost\r\n`, ...flood)
    expect(refusalIn(heard)).toEqual({
      status: 431,
      body: { error: 'InvalidRequest', message: expect.any(String) },
    })
    const longUrl = await speak(`GET /xrpc/_health?${'x'.repeat(20_000)} HTTP/1.1\r\n`)
    expect(refusalIn(longUrl).status).toBe(431)
  })

  it('hangs up on headers that do not end, and on connections that say nothing', async () => {
    const heard = await speak('GET /xrpc/_health HTTP/1.1\r\nHost: local')
    expect(refusalIn(heard)).toMatchObject({ status: 408, body: { error: 'InvalidRequest' } })
    await speak()
  })

  it.each([
    ['is no HTTP', 'Hello!\r\n\r\n'],
    ['has no host', 'GET /xrpc/_health HTTP/1.1\r\nConnection: close\r\n\r\n'],
    ['has a bad host', 'GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'],
    ['has two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    [
      'has a length and chunks',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    ],
    ['has a bad header', 'GET / HTTP/1.1\r\nHost: a\r\nb c: d\r\n\r\n'],
  ])('answers 400 in JSON to what %s', async (_, bytes) => {
    expect(refusalIn(await speak(bytes))).toMatchObject({ status: 400, body: { error: 'InvalidRequest' } })
  })

  it('writes nothing into the middle of an answer', async () => {
    const ask = 'GET /xrpc/_health HTTP/1.1\r\nHost: localhost\r\n\r\n'
    const heard = await speak(`${ask}broken\r\n\r\n`)
    // Whether the first is answered or not, what comes is whole.
    expect(heard).toMatch(/^HTTP\/1\.1 (200 OK|400 Bad Request)\r\n/)
    for (const answer of heard.split(/(?=HTTP\/1\.1 )/)) {
      const [head, body] = answer.split('\r\n\r\n')
      expect(body!.length).toBe(Number(/content-length: (\d+)/i.exec(head!)?.[1]))
    }
  })

  it.each([
    ['asks in HTTP/1.0', 'GET', 'HTTP/1.0', UPGRADE, 400],
    ['asks by POST', 'POST', 'HTTP/1.1', [...UPGRADE, 'Connection: close'], 405],
    ['has no key', 'GET', 'HTTP/1.1', UPGRADE.filter((line) => !line.includes('Key')), 400],
    ['has a bad key', 'GET', 'HTTP/1.1', UPGRADE.map((line) => line.replace('Key: ', 'Key: !')), 400],
    ['has an old version', 'GET', 'HTTP/1.1', UPGRADE.map((line) => line.replace('13', '7')), 400],
    ['has a body', 'GET', 'HTTP/1.1', [...UPGRADE, 'Content-Length: 3'], undefined],
  ])('is not led astray by a WebSocket that %s', async (_, verb, version, lines, status) => {
    const alice = as(newDid('alice'))
    const head = [
      `${verb} /xrpc/blue.catbird.mls.subscribeConvoEvents ${version}`,
      'Host: localhost',
      `Authorization: Bearer ${await alice.token()}`,
      ...lines,
    ]
    const heard = await speak(`${head.join('\r\n')}\r\n\r\n`, 'abc')
    if (status) expect(refusalIn(heard).status).toBe(status)
    else expect(heard).toMatch(/^HTTP\/1\.1 (101|400) /)
    await isWithoutStreams()
  })

  it.each([
    ['no frames', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['frames without a mask', Buffer.from([0x81, 1, 0x61])],
    ['frames with reserved bits', Buffer.from([0xf1, 0x80, 0, 0, 0, 0])],
    ['a frame of 2⁶³ bytes', Buffer.from([0x82, 0xff, 0x7f, ...Array(11).fill(0xff)])],
    ['a control frame in pieces', Buffer.from([0x08, 0x80, 0, 0, 0, 0])],
    ['a flood of empty pieces', Buffer.concat(Array(50_000).fill(Buffer.from([0x01, 0x80, 0, 0, 0, 0])))],
  ])('hangs up on a WebSocket that sends %s', async (_, bytes) => {
    const alice = as(newDid('alice'))
    const socket = connect(Number(new URL(server().url).port), '127.0.0.1')
    socket.on('error', () => {})
    const head = [
      'GET /xrpc/blue.catbird.mls.subscribeConvoEvents HTTP/1.1',
      'Host: localhost',
      `Authorization: Bearer ${await alice.token()}`,
      ...UPGRADE,
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 101 /)
    socket.write(bytes)
    await once(socket.resume(), 'close')
    await isWithoutStreams()
    expect(server().logs.filter(({ level }) => level === 'ERROR')).toEqual([])
  })

  it('hangs up on who does not read its answer', async () => {
    const alice = as(newDid('alice'))
    const authorization = `Bearer ${await alice.token()}`
    const convoId = await createConvo(alice, { epoch: 0 })
    for (let i = 0; i < 4; i++) {
      await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, 0.99 * MIB) })
    }
    const socket = connect(Number(new URL(server().url).port), '127.0.0.1')
    socket.on('error', () => {})
    const head = [
      `GET /xrpc/blue.catbird.mls.getMessages?convoId=${convoId} HTTP/1.1`,
      'Host: localhost',
      `Authorization: ${authorization}`,
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    const [first] = await once(socket, 'data')
    socket.pause()
    // In three copies this leaves no room for the answer.
    const full = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, Math.floor(3.99 * MIB)) }
    const announceFull = async () => {
      const { answer, outgoing } = openBody(authorization, Buffer.byteLength(JSON.stringify(full)), '')
      return (await answer.finally(() => outgoing.destroy())).status
    }
    expect(await announceFull()).toBe(503)
    // The server's patience, 12 s, begins anew as long as the last of it saw the answer move.
    await eventually('the whole budget', async () => (await announceFull()) !== 503, 45_000)
    await alice.ok('sendMessage', full)
    let heard = first.length
    socket.on('data', (data) => {
      heard += data.length
    })
    await once(socket.resume(), 'close')
    const length = Number(/content-length: (\d+)/i.exec(String(first))?.[1])
    expect(length).toBeGreaterThan(5 * MIB)
    expect(heard).toBeLessThan(length)
    await alice.ok('getMessages', { convoId, limit: 1 })
  })

  it('answers others all the while', async () => {
    const sockets = Array.from({ length: 200 }, () => {
      const socket = connect(Number(new URL(server().url).port), '127.0.0.1')
      socket.on('error', () => {})
      socket.write(`POST ${SEND} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n`)
      return socket
    })
    await as(newDid('alice')).ok('getConvos')
    await Promise.all(sockets.map((socket) => once(socket.resume(), 'close')))
  })
})
