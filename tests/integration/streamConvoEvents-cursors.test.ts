import { readStreamCursor, writeStreamCursor } from '@catbird/api/events/stream-cursor'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { MODES, type TestServer } from '../support/server.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import { openReader, type ReaderKind, type ReaderOptions } from '../support/streams/stream-reader.ts'
import { StreamRefused } from '../support/streams/transport.ts'
import { useServer } from '../support/use-server.ts'

type Options = Partial<ReaderOptions>
type Fields = ReturnType<typeof readStreamCursor>

const KINDS = ['sse', 'socket'] as const

const entriesIn = (events: readonly StreamEvent[]) =>
  events.flatMap((event) =>
    event.type === 'messageEvent' ? [`${event.message.convoId} ${event.message.seq}`] : [],
  )
/** Entries of a conversation as `entriesIn` names them. */
const entries = (convoId: string, ...seqs: number[]) => seqs.map((seq) => `${convoId} ${seq}`)
const altered = (cursor: string, change: (fields: Fields) => Partial<Fields>) => {
  const fields = readStreamCursor(cursor)
  return writeStreamCursor({ ...fields, ...change(fields) })
}
const send = (client: TestClient, convoId: string) =>
  client.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })

async function openOn(server: TestServer, kind: ReaderKind, client: TestClient, options: Options) {
  const reader = await openReader(kind, { url: server.url, token: await client.token(), ...options })
  onTestFinished(() => reader.close())
  return reader
}

async function eventsOn(server: TestServer, kind: ReaderKind, client: TestClient, options: Options) {
  const reader = await openOn(server, kind, client, options)
  await reader.until('caughtUp')
  await reader.close()
  return reader.events.slice(0, -1)
}

/** The answer to who asks for a stream and is refused. */
async function refusalOn(server: TestServer, kind: ReaderKind, client: TestClient, options: Options) {
  const refused = await openOn(server, kind, client, options).catch((error: unknown) => error)
  if (refused instanceof StreamRefused) return refused
  throw new Error(`not refused: ${JSON.stringify(options)}`, { cause: refused })
}

describe.each(KINDS)('the cursor of a stream over %s', (kind) => {
  const { people, server } = useServer(MODES[2].env)
  const past = (client: TestClient, options: Options = {}) =>
    eventsOn(server(), kind, client, { cursor: '0', ...options })
  const refusal = (client: TestClient, options: Options) => refusalOn(server(), kind, client, options)
  /** Those of the server while the test has been running. */
  const watchFaults = () => {
    const from = server().logs.length
    const isFault = ({ level }: Record<string, unknown>) => level === 'ERROR' || level === 'WARN'
    return () =>
      server()
        .logs.slice(from)
        .filter(isFault)
        .map(({ msg, err }) => `${msg}: ${(err as Error | undefined)?.message}`)
  }
  /** Conversations of both with three messages each, in the order of their ids. */
  const withConvos = async (count: number) => {
    const [alice, bob] = people('alice', 'bob')
    const convoIds = Array.from({ length: count }, newGroupId).toSorted()
    for (const groupId of convoIds) {
      await createConvo(alice, { groupId, epoch: 0, initialMembers: [bob.did] })
      for (let i = 0; i < 3; i++) await send(alice, groupId)
    }
    return { alice, bob, convoIds: convoIds as [string, string, ...string[]] }
  }

  it('is refused when it is none', async () => {
    const { bob, convoIds } = await withConvos(1)
    const page = await bob.ok('getMessages', { convoId: convoIds[0], limit: 2, markRead: false })
    const none = ['x', '5', '-1', '00', ' ', 'null', 'e30', '-_-_', 'MTpz', 'ü', '%00', 'x'.repeat(5000)]
    for (const cursor of [...none, page.cursor]) {
      expectError(await refusal(bob, { cursor }), 'InvalidCursor')
    }
  })

  it('is refused or understood when it is cut or altered, and never a fault', async () => {
    const faults = watchFaults()
    const { bob, convoIds } = await withConvos(1)
    const [first] = await past(bob, { convoId: convoIds[0] })
    const [, , third] = await past(bob)
    const outcomes: unknown[] = []
    for (const [cursor, convoId] of [
      [first!.cursor, convoIds[0]],
      [third!.cursor, undefined],
    ] as const) {
      // Every second place will do: each holds six bits of what is encoded.
      for (let at = 0; at < cursor.length; at += 2) {
        const other = cursor[at] === 'A' ? 'B' : 'A'
        for (const bad of [cursor.slice(0, at), cursor.slice(0, at) + other + cursor.slice(at + 1)]) {
          const opened = await eventsOn(server(), kind, bob, { cursor: bad, convoId }).catch((error) => error)
          outcomes.push(
            Array.isArray(opened) || opened.body?.error || opened.message.match(/FutureCursor/)?.[0],
          )
        }
      }
    }
    const refused = outcomes.filter((outcome) => outcome === 'InvalidCursor')
    expect(new Set(outcomes)).toEqual(
      new Set([true, 'InvalidCursor', ...outcomes.filter((one) => one === 'FutureCursor')]),
    )
    expect(refused.length).toBeGreaterThan(outcomes.length / 2)
    expect(faults()).toEqual([])
  })

  it.each<[string, (fields: Fields) => Partial<Fields>]>([
    ['of the year 287396', () => ({ tag: '0'.repeat(12), atMs: Number.MAX_SAFE_INTEGER })],
    ['of before time', () => ({ tag: '0'.repeat(12), atMs: 0 })],
    ['since a time that is none', () => ({ since: { kind: 'time', ms: Number.MAX_SAFE_INTEGER } })],
    ['since 1970', () => ({ since: { kind: 'time', ms: 0 } })],
    ['since nothing was there', () => ({ since: { kind: 'snapshot', snapshot: { xmax: 0, xip: [] } } })],
    ['with rows beyond all', ({ place }) => ({ place: { ...place!, n: Number.MAX_SAFE_INTEGER } })],
    ['with entries beyond all', ({ place }) => ({ place: { ...place!, seq: Number.MAX_SAFE_INTEGER } })],
    [
      'with a place in another conversation',
      ({ place }) => ({ place: { ...place!, convoId: 'f'.repeat(128) } }),
    ],
    ['with a place that is no id', ({ place }) => ({ place: { ...place!, convoId: "';\0\\ü" } })],
    ['that has had the past', ({ target }) => ({ since: { kind: 'snapshot', snapshot: target!.snapshot } })],
    ['whose target is before its beginning', () => ({ target: { snapshot: { xmax: 1, xip: [] }, atMs: 0 } })],
  ])('made up %s harms nobody', async (_name, change) => {
    const faults = watchFaults()
    const { bob } = await withConvos(2)
    const [event] = await past(bob)
    const reader = await openOn(server(), kind, bob, { cursor: altered(event!.cursor, change) }).catch(
      (error) => error,
    )
    if (reader instanceof StreamRefused) expectError(reader, 'InvalidCursor')
    else await reader.until('caughtUp')
    expect(faults()).toEqual([])
    expect(await past(bob)).not.toEqual([])
  })

  it('of one conversation is good for that one alone', async () => {
    const { bob, convoIds } = await withConvos(2)
    const [one, other] = convoIds
    for (const { cursor } of await past(bob, { convoId: one })) {
      expectError(await refusal(bob, { cursor, convoId: other }), 'InvalidCursor')
      expectError(await refusal(bob, { cursor }), 'InvalidCursor')
    }
  })

  it('of all conversations is good for one of them', async () => {
    const { alice, bob, convoIds } = await withConvos(3)
    const live = await openOn(server(), kind, bob, {})
    await live.until('caughtUp')
    for (const convoId of convoIds.toReversed()) {
      await send(alice, convoId)
      await live.next((event) => event.type === 'messageEvent' && event.message.convoId === convoId)
    }
    for (const all of [await past(bob), live.events]) {
      for (const [index, { cursor }] of all.entries()) {
        for (const convoId of convoIds) {
          const ofConvo = (events: StreamEvent[]) =>
            entriesIn(events).filter((entry) => entry.startsWith(convoId))
          const [rest, got] = [ofConvo(all.slice(index + 1)), entriesIn(await past(bob, { cursor, convoId }))]
          expect(got.slice(got.length - rest.length)).toEqual(rest)
          expect(ofConvo(all).slice(ofConvo(all).length - got.length)).toEqual(got)
          expect(got.length - rest.length).toBeLessThanOrEqual(1)
        }
      }
    }
  })

  it('from within the past knows what happened since, in every conversation and in new ones', async () => {
    const { alice, bob, convoIds } = await withConvos(3)
    const all = await past(bob)
    const news: string[] = []
    for (const groupId of ['00', 'ff'].map((begin) => begin + newGroupId())) {
      await createConvo(alice, { groupId, epoch: 0, initialMembers: [bob.did] })
      news.push(...entries(groupId, (await send(alice, groupId)).seq!))
    }
    for (const convoId of convoIds) news.push(...entries(convoId, (await send(alice, convoId)).seq!))
    for (const [index, { cursor }] of all.entries()) {
      const got = entriesIn(await past(bob, { cursor }))
      const rest = [...entriesIn(all.slice(index + 1)), ...news]
      expect(got.toSorted()).toEqual(rest.toSorted())
      for (const convoId of convoIds) {
        const seqs = got.filter((entry) => entry.startsWith(convoId))
        expect(seqs).toEqual(seqs.toSorted())
      }
    }
  })
})

describe('Last-Event-ID', () => {
  const { people, server } = useServer(MODES[2].env)
  const past = (client: TestClient, options: Options) => eventsOn(server(), 'sse', client, options)

  it('says the same as cursor, and is believed when they differ', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    for (let i = 0; i < 3; i++) await send(alice, convoId)
    const all = await past(alice, { lastEventId: '0' })
    expect(entriesIn(all)).toEqual(entries(convoId, 1, 2, 3))
    const second = all.find((event) => event.type === 'messageEvent' && event.message.seq === 2)!.cursor
    for (const cursor of [undefined, '0', all.at(-1)!.cursor, 'nonsense']) {
      expect(entriesIn(await past(alice, { lastEventId: second, cursor }))).toEqual(entries(convoId, 3))
    }
    expect(entriesIn(await past(alice, { lastEventId: '', cursor: second }))).toEqual(entries(convoId, 3))
    const bad = { lastEventId: 'nonsense', cursor: '0' }
    expectError(await refusalOn(server(), 'sse', alice, bad), 'InvalidCursor')
  })

  it('does not name the future either', async () => {
    const [alice] = people('alice')
    const { cursor } = await (await openOn(server(), 'sse', alice, {})).until('caughtUp')
    const since = { kind: 'snapshot', snapshot: { xmax: 2 ** 40, xip: [] } } as const
    const future = altered(cursor, () => ({ since }))
    for (const options of [{ cursor: future }, { lastEventId: future }]) {
      expectError(await refusalOn(server(), 'sse', alice, options), 'InvalidCursor')
    }
  })
})
