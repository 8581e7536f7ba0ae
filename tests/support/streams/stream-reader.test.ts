import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { encode } from 'cborg'
import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../eventually.ts'
import type { StreamEvent } from './event-check.ts'
import { openReader } from './stream-reader.ts'
import {
  REFUSAL,
  refuseStreams,
  type Sending,
  STREAM_HEADERS,
  serveHttp,
  serveStreams,
  stopStreamServers,
} from './stream-server.fixture.ts'

afterEach(stopStreamServers)

function info(name: string, cursor = name): StreamEvent {
  return { type: 'infoEvent', cursor, info: name }
}

function joined(seq: number): StreamEvent {
  return {
    type: 'membershipEvent',
    cursor: `c${seq}`,
    convoId: 'ab',
    did: 'did:plc:bob',
    action: 'joined',
    seq,
  }
}

describe.each(['sse', 'socket'] as const)('a reader over %s', (kind) => {
  it('asks with token, ticket, cursor and conversation', async () => {
    const requests: IncomingMessage[] = []
    const url = await serveStreams(({ request }) => requests.push(request))
    await openReader(kind, { url, token: 'abc', cursor: 'c1', convoId: 'ab' })
    await openReader(kind, { url, ticket: 'one+two' })
    const name = kind === 'sse' ? 'streamConvoEvents' : 'subscribeConvoEvents'
    expect(requests.map((one) => [one.url, one.headers.authorization])).toEqual([
      [`/xrpc/blue.catbird.mls.${name}?cursor=c1&convoId=ab`, 'Bearer abc'],
      [`/xrpc/blue.catbird.mls.${name}?ticket=one%2Btwo`, undefined],
    ])
  })

  it('rejects with status and body when it is refused', async () => {
    const url = await refuseStreams()
    await expect(openReader(kind, { url })).rejects.toMatchObject({ status: 404, body: REFUSAL })
  })

  it('keeps all events but heartbeats, and the newest cursor', async () => {
    const url = await serveStreams(({ send }) => {
      for (const event of [joined(1), info('heartbeat'), joined(2), info('caughtUp', 'last')]) send(event)
    })
    const reader = await openReader(kind, { url })
    await reader.until('caughtUp')
    expect(reader.events).toEqual([joined(1), joined(2), info('caughtUp', 'last')])
    expect(reader).toMatchObject({ count: 3, cursor: 'last' })
  })

  it('finds events one after the other, those that came and those to come', async () => {
    let sending: Sending | undefined
    const url = await serveStreams((one) => {
      sending = one
      for (const seq of [1, 2, 3, 4]) one.send(joined(seq))
    })
    const reader = await openReader(kind, { url })
    const isMembership = (event: StreamEvent) => event.type === 'membershipEvent'
    const seqOf = async (match: (seq: number) => boolean) =>
      (await reader.next((event) => isMembership(event) && match(event.seq))).cursor
    await eventually('four events', () => reader.count === 4)
    expect(await seqOf((seq) => seq > 1)).toBe('c2')
    expect(await seqOf((seq) => seq !== 3)).toBe('c4')
    const next = seqOf(() => true)
    sending!.send(info('heartbeat'))
    sending!.send(joined(5))
    expect(await next).toBe('c5')
    const heartbeat = reader.until('heartbeat')
    sending!.send(info('heartbeat', 'h'))
    expect((await heartbeat).cursor).toBe('h')
  })

  it('says at the deadline what had come', async () => {
    const url = await serveStreams(({ send }) => {
      send(joined(7))
      send(info('heartbeat'))
    })
    const reader = await openReader(kind, { url })
    await expect(reader.until('caughtUp', 200)).rejects.toThrow(
      'no such event in 200 ms; the last that came: joined 7, heartbeat',
    )
  })

  it('holds nothing when told so, and passes every event on', async () => {
    const passed: StreamEvent[] = []
    const url = await serveStreams(({ send }) => {
      for (let seq = 1; seq <= 100; seq++) send(joined(seq))
      setTimeout(() => send(info('caughtUp')), 100)
    })
    const reader = await openReader(kind, { url, keep: false, onEvent: (event) => passed.push(event) })
    await reader.until('caughtUp')
    expect(reader).toMatchObject({ events: [], count: 101, cursor: 'caughtUp' })
    expect(passed).toHaveLength(101)
  })

  it('tells the end by the server, by itself and by a cut connection', async () => {
    const ways: Sending[] = []
    const url = await serveStreams((one) => ways.push(one))
    const readers = [
      await openReader(kind, { url }),
      await openReader(kind, { url }),
      await openReader(kind, { url }),
    ]
    const waiting = expect(readers[0]!.until('caughtUp')).rejects.toThrow('the stream ended (ended')
    ways[0]!.end()
    ways[1]!.cut()
    await readers[2]!.close()
    const ends = await Promise.all(readers.map(({ ended }) => ended))
    expect(ends.map(({ reason }) => reason)).toEqual(['ended', 'cut', 'closed'])
    await waiting
    await expect(readers[0]!.until('caughtUp')).rejects.toThrow('the stream has ended (ended')
  })

  it('hangs up on an event that is not as the lexicon says, unless told not to look', async () => {
    const url = await serveStreams(({ send }) => send(Object.assign(joined(1), { more: 1 })))
    const strict = await openReader(kind, { url })
    expect(await strict.ended).toMatchObject({
      reason: 'invalid',
      problem: 'membershipEvent/more is not in the lexicon',
    })
    expect(strict.count).toBe(0)
    const lax = await openReader(kind, { url, check: false })
    await eventually('the event', () => lax.count === 1)
  })

  it('hangs up when the callback throws', async () => {
    const url = await serveStreams(({ send }) => send(joined(1)))
    const onEvent = () => {
      throw new Error('not what was expected')
    }
    const reader = await openReader(kind, { url, onEvent })
    expect(await reader.ended).toMatchObject({ reason: 'invalid', problem: 'not what was expected' })
  })

  it('takes nothing more off the socket while it pauses', async () => {
    let sending: Sending | undefined
    const url = await serveStreams((one) => {
      sending = one
    })
    const reader = await openReader(kind, { url, keep: false, check: false })
    reader.pause()
    const text = 'x'.repeat(100_000)
    for (let seq = 1; seq <= 300; seq++) sending!.send({ ...joined(seq), did: text } as StreamEvent)
    await sleep(300)
    expect(reader.count).toBeLessThan(10)
    expect(sending!.backlog()).toBeGreaterThan(10_000_000)
    reader.resume()
    await eventually('all events', () => reader.count === 300)
    expect(sending!.backlog()).toBe(0)
  })

  it('can be closed while it pauses', async () => {
    const url = await serveStreams(({ send }) => send(joined(1)))
    const reader = await openReader(kind, { url })
    reader.pause()
    await reader.close()
    expect((await reader.ended).reason).toBe('closed')
  })
})

describe('a reader of Server-Sent Events', () => {
  it('sends Last-Event-ID', async () => {
    const seen: unknown[] = []
    const url = await serveStreams(({ request }) => seen.push(request.headers['last-event-id'], request.url))
    const reader = await openReader('sse', { url, lastEventId: 'c1' })
    expect(seen).toEqual(['c1', '/xrpc/blue.catbird.mls.streamConvoEvents'])
    expect(reader.cursor).toBe('c1')
  })

  it.each([
    ['another type', { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }],
    ['a stream that caches store', { 'Content-Type': 'text/event-stream' }],
    ['compression', { ...STREAM_HEADERS, 'Content-Encoding': 'gzip' }],
  ])('refuses %s', async (_name, headers) => {
    const url = await serveHttp((_request, response) => response.writeHead(200, headers).flushHeaders())
    await expect(openReader('sse', { url })).rejects.toThrow(/stream/)
  })

  it('hangs up on a comment', async () => {
    const url = await serveStreams(({ sendRaw }) => sendRaw(': hello\n\n'))
    const reader = await openReader('sse', { url })
    expect(await reader.ended).toMatchObject({ reason: 'invalid' })
  })

  it('tells an end inside a frame from one after it', async () => {
    const url = await serveStreams(({ sendRaw, end }) => {
      sendRaw('id: a\n')
      end()
    })
    const reader = await openReader('sse', { url })
    expect(await reader.ended).toEqual({ reason: 'invalid', problem: 'the stream ended inside a frame' })
  })

  it('takes an end inside a frame for a cut where the body ends with the connection', async () => {
    const url = await serveHttp(({ socket }) => {
      const head = Object.entries(STREAM_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.end(`HTTP/1.1 200 OK\r\n${head.join('')}Connection: close\r\n\r\nid: a\n`)
    })
    const reader = await openReader('sse', { url })
    expect(await reader.ended).toEqual({ reason: 'cut' })
  })

  it('does not wait for ever for an answer', async () => {
    const url = await serveHttp(() => {})
    await expect(openReader('sse', { url, timeoutMs: 100 })).rejects.toThrow('in time')
  })
})

describe('a reader over a socket', () => {
  const error = { error: 'ConsumerTooSlow', message: 'cursor=c1' }
  const errorFrame = Buffer.concat([encode({ op: -1 }), encode(error)])

  it('tells the error frame and the code of the end', async () => {
    const url = await serveStreams(({ sendRaw, end }) => {
      sendRaw(errorFrame)
      end()
    })
    const reader = await openReader('socket', { url })
    expect(await reader.ended).toEqual({ reason: 'ended', code: 1000, error })
    await expect(reader.until('caughtUp')).rejects.toThrow('ConsumerTooSlow')
  })

  it.each([
    ['a text message', ['{}'], 'a text message'],
    ['a frame that is no frame', [Buffer.of(0xff)], 'other than false, true and null'],
    ['a message after the error frame', [errorFrame, errorFrame], 'a message after the error frame'],
  ])('hangs up on %s', async (_name, messages, problem) => {
    const url = await serveStreams(({ sendRaw }) => {
      for (const message of messages) sendRaw(message)
    })
    const reader = await openReader('socket', { url })
    const end = await reader.ended
    expect(end).toMatchObject({ reason: 'invalid' })
    expect(end.problem).toContain(problem)
  })

  it('counts pings', async () => {
    const url = await serveStreams(({ ping }) => ping())
    const reader = await openReader('socket', { url })
    await eventually('a ping', () => reader.pings === 1)
  })

  it('refuses a server that compresses', async () => {
    const url = await serveStreams(() => {}, true)
    await expect(openReader('socket', { url })).rejects.toThrow('took the extension permessage-deflate')
  })
})
