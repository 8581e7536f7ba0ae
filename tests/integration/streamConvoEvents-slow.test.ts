import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { ascending } from '../support/matchers.ts'
import { Scrape } from '../support/scrape.ts'
import { MODES } from '../support/server.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import {
  openReader,
  type ReaderKind,
  type ReaderOptions,
  type StreamReader,
} from '../support/streams/stream-reader.ts'
import { useServer } from '../support/use-server.ts'

const KIB = 2 ** 10
const MIB = 2 ** 20
const KINDS = ['sse', 'socket'] as const
/** So long may a reader take nothing. */
const STALL_MS = 30_000

const seqsIn = (events: readonly StreamEvent[]) =>
  events.flatMap((event) => (event.type === 'messageEvent' ? [event.message.seq] : []))
const isSeq = (seq: number) => (event: StreamEvent) =>
  event.type === 'messageEvent' && event.message.seq === seq

const send = (client: TestClient, convoId: string, size: number) =>
  client.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, size) })

/** The cursor that came with the name, by which a stream over this transport is closed for a slow reader. */
async function lastWords(reader: StreamReader, kind: ReaderKind): Promise<string> {
  const { reason, error } = await reader.ended
  expect(reason).toBe('ended')
  if (kind === 'socket') {
    expect(error).toMatchObject({ error: 'ConsumerTooSlow' })
    return /cursor=([\w-]+)/.exec(error!.message!)![1]!
  }
  expect(reader.events.at(-1)).toMatchObject({ type: 'infoEvent', info: 'slow' })
  return reader.events.at(-1)!.cursor
}

/** A way to a server on which what it sends is taken in 64 KiB at most, one in each `pauseMs`. */
async function narrowWay(url: string) {
  const width = { pauseMs: 500 }
  const way = createServer((near) => {
    const far = connect(Number(new URL(url).port), '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => {}).on('close', () => other.destroy())
    }
    near.pipe(far)
    far.on('data', (data) => {
      near.write(data)
      far.pause()
      setTimeout(() => far.resume(), width.pauseMs)
    })
  })
  way.listen(0, '127.0.0.1')
  await once(way, 'listening')
  onTestFinished(() => void way.close())
  const { port } = way.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, widen: () => Object.assign(width, { pauseMs: 0 }) }
}

describe('a reader', () => {
  const { people, server } = useServer(MODES[2].env)
  const open = async (kind: ReaderKind, client: TestClient, options: Partial<ReaderOptions> = {}) => {
    const reader = await openReader(kind, { url: server().url, token: await client.token(), ...options })
    onTestFinished(() => reader.close())
    return reader
  }
  const closed = async () => (await Scrape.of(server().url)).value('stream_closes_total', { reason: 'slow' })
  const withConvo = async () => {
    const [alice, bob] = people('alice', 'bob')
    return { alice, bob, convoId: await createConvo(alice, { epoch: 0, initialMembers: [bob.did] }) }
  }

  it.each(KINDS)(
    'over %s that takes nothing is closed by name, with where it was; one beside it gets everything',
    async (kind) => {
      const { alice, bob, convoId } = await withConvo()
      const [frozen, healthy] = [await open(kind, bob), await open(kind, bob, { convoId })]
      for (const reader of [frozen, healthy]) await reader.until('caughtUp')
      const before = await closed()
      frozen.pause()
      let sent = 0
      // The kernel's buffers fill first.
      while ((await closed()) === before && sent < 200) {
        await send(alice, convoId, 200 * KIB)
        await healthy.next(isSeq(++sent))
      }
      expect(await closed()).toBe(before + 1)
      expect(sent).toBeLessThan(200)
      frozen.resume()
      const cursor = await lastWords(frozen, kind)
      const taken = seqsIn(frozen.events)
      expect(taken).toEqual(ascending(taken.length))
      expect(taken.length).toBeGreaterThan(2)
      const again = await open(kind, bob, { cursor })
      await again.until('caughtUp')
      const rest = seqsIn(again.events)
      expect(rest).toEqual(ascending(rest.length, sent - rest.length + 1))
      // Repeats at the seam at the most.
      expect([0, 1]).toContain(taken.length + rest.length - sent)
      expect(seqsIn(healthy.events)).toEqual(ascending(sent))
    },
  )

  it.each(KINDS)(
    'over %s that takes nothing of the past for a while gets all of it, and what was sent meanwhile',
    async (kind) => {
      const { alice, bob, convoId } = await withConvo()
      const before = await closed()
      for (let i = 0; i < 12; i++) await send(alice, convoId, MIB)
      const [frozen, healthy] = [await open(kind, bob, { cursor: '0' }), await open(kind, bob)]
      frozen.pause()
      await healthy.until('caughtUp')
      for (const seq of ascending(12, 13)) {
        await send(alice, convoId, 200 * KIB)
        await healthy.next(isSeq(seq))
      }
      frozen.resume()
      await frozen.until('caughtUp')
      await send(alice, convoId, KIB)
      await frozen.next(isSeq(25))
      expect(seqsIn(frozen.events)).toEqual(ascending(25))
      expect(await closed()).toBe(before)
    },
  )

  it('that takes nothing for 30 s is closed, one that is merely slow is not', async () => {
    const { alice, bob, convoId } = await withConvo()
    const way = await narrowWay(server().url)
    const frozen = await Promise.all(KINDS.map((kind) => open(kind, bob)))
    const slow = await Promise.all(KINDS.map((kind) => open(kind, alice, { url: way.url })))
    const healthy = await open('socket', bob)
    for (const reader of [...frozen, ...slow, healthy]) await reader.until('caughtUp')
    for (const reader of frozen) reader.pause()
    const before = await closed()
    const startedMs = performance.now()
    await send(alice, convoId, 10 * MIB)
    await eventually('the end of both', async () => (await closed()) >= before + 2, STALL_MS + 8000)
    expect(performance.now() - startedMs).toBeGreaterThan(STALL_MS - 3000)
    for (const [index, reader] of frozen.entries()) {
      reader.resume()
      const cursor = await lastWords(reader, KINDS[index]!)
      expect(seqsIn(reader.events)).toEqual([1])
      const again = await open(KINDS[index]!, bob, { cursor })
      await again.until('caughtUp')
      expect(seqsIn(again.events)).toEqual([])
    }
    way.widen()
    for (const reader of slow) await reader.next(isSeq(1), 20_000)
    expect(await closed()).toBe(before + 2)
    await eventually('a ping', () => healthy.pings > 0, 5000)
  })
})
