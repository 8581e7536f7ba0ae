import { readStreamCursor, writeStreamCursor } from '@catbird/api/events/stream-cursor'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { ascending } from '../support/matchers.ts'
import { MODES } from '../support/server.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import { openReader, type ReaderOptions } from '../support/streams/stream-reader.ts'
import { useServer } from '../support/use-server.ts'

type Fields = ReturnType<typeof readStreamCursor>

const WAYS = [
  { kind: 'sse', env: MODES[1].env },
  { kind: 'socket', env: MODES[2].env },
] as const

const send = (client: TestClient, convoId: string, epoch = 0) =>
  client.ok('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })
const convoOf = (event: StreamEvent) => (event.type === 'messageEvent' ? event.message : event).convoId
/** Of a conversation, how many of these events are messages that `did` would have to read. */
const unreadIn = (events: readonly StreamEvent[], convoId: string, did: string) =>
  events.filter(
    (event) =>
      event.type === 'messageEvent' &&
      event.message.convoId === convoId &&
      event.message.messageType === 'app' &&
      event.message.sender !== did,
  ).length

describe.each(WAYS)('a cursor of a stream over $kind as read position', ({ kind, env }) => {
  const { people, server } = useServer(env)
  const open = async (client: TestClient, options: Partial<ReaderOptions> = {}) => {
    const reader = await openReader(kind, { url: server().url, token: await client.token(), ...options })
    onTestFinished(() => reader.close())
    return reader
  }
  const pastOf = async (client: TestClient, options: Partial<ReaderOptions> = {}) => {
    const reader = await open(client, { cursor: '0', ...options })
    await reader.until('caughtUp')
    await reader.close()
    return reader.events
  }
  const unread = async (client: TestClient) => {
    const { conversations } = await client.ok('getConvos')
    return Object.fromEntries(conversations.map(({ id, unreadCount }) => [id, unreadCount!]))
  }
  const mark = (client: TestClient, convoId: string, cursor: string) =>
    client.call('updateCursor', { convoId, cursor })
  /** A conversation of all with five messages and a commit that adds somebody, between them. */
  const withMessages = async (alice: TestClient, ...others: TestClient[]) => {
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: others.map(({ did }) => did) })
    for (const _ of ascending(3)) await send(alice, convoId)
    const [carol] = people('carol')
    await alice.ok('addMembers', { convoId, didList: [carol.did], commit: commitFor(convoId, 0) })
    for (const _ of ascending(2)) await send(alice, convoId, 1)
    return convoId
  }

  it('marks exactly what was had: of one conversation, live and in the past', async () => {
    const [alice, bob, dave] = people('alice', 'bob', 'dave')
    const live = await open(bob)
    await live.until('caughtUp')
    const convoId = await withMessages(alice, bob, dave)
    await live.next((event) => event.type === 'messageEvent' && event.message.seq === 6)
    const pasts = [
      { client: bob, events: live.events },
      { client: dave, events: await pastOf(dave, { convoId }) },
    ]
    for (const { client, events } of pasts) {
      expect(await unread(client)).toEqual({ [convoId]: 5 })
      for (const [index, event] of events.entries()) {
        if (event.type === 'messageEvent') {
          expect((await mark(client, convoId, event.cursor)).body).toEqual({ success: true })
          const left = unreadIn(events.slice(index + 1), convoId, client.did)
          expect(await unread(client)).toEqual({ [convoId]: left })
        } else expect((await mark(client, convoId, event.cursor)).status).toBe(200)
      }
      // Never backwards.
      expect((await mark(client, convoId, events[2]!.cursor)).status).toBe(200)
      expect(await unread(client)).toEqual({ [convoId]: 0 })
    }
  })

  it('marks in every conversation what was had there', async () => {
    const [alice, bob, dave] = people('alice', 'bob', 'dave')
    const live = await open(bob)
    await live.until('caughtUp')
    const input = { epoch: 0, initialMembers: [bob.did, dave.did] }
    const convoIds = [
      await createConvo(alice, input),
      await createConvo(alice, input),
      await createConvo(alice, input),
    ]
    for (const convoId of [0, 1, 0, 2, 1, 2, 0].map((index) => convoIds[index]!)) {
      const { seq } = await send(alice, convoId)
      await live.next(
        (event) => event.type === 'messageEvent' && convoOf(event) === convoId && event.message.seq === seq,
      )
    }
    const pasts = [
      { client: bob, events: live.events },
      { client: dave, events: await pastOf(dave) },
    ]
    for (const { client, events } of pasts) {
      for (const [index, { cursor }] of events.entries()) {
        for (const convoId of convoIds) {
          expect((await mark(client, convoId, cursor)).body).toEqual({ success: true })
          const left = unreadIn(events.slice(index + 1), convoId, client.did)
          expect((await unread(client))[convoId], `${index} ${convoId}`).toBe(left)
        }
      }
    }
  })

  it('from within the past marks also the conversations that were sent whole before', async () => {
    const [alice, bob] = people('alice', 'bob')
    for (const _ of ascending(2)) await withMessages(alice, bob)
    const past = await pastOf(bob)
    const [first, second] = new Set(past.flatMap((event) => convoOf(event) ?? []))
    const { cursor } = past.find((event) => event.type === 'messageEvent' && convoOf(event) === second)!
    for (const convoId of [first!, second!]) expect((await mark(bob, convoId, cursor)).status).toBe(200)
    expect(await unread(bob)).toEqual({ [first!]: 0, [second!]: 4 })
  })

  it('marks with the last cursor all that came, and nothing that came later', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await withMessages(alice, bob)
    const now = await open(bob)
    const { cursor } = await now.until('caughtUp')
    await send(alice, convoId, 1)
    expect((await mark(bob, convoId, cursor)).status).toBe(200)
    expect(await unread(bob)).toEqual({ [convoId]: 1 })
    const all = await pastOf(bob, { convoId })
    expect((await mark(bob, convoId, all.at(-1)!.cursor)).status).toBe(200)
    expect(await unread(bob)).toEqual({ [convoId]: 0 })
  })

  it('of a stream of another conversation is refused, and one of nobody', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const [convoId, other] = [await withMessages(alice, bob), await withMessages(alice, bob)]
    for (const { cursor } of await pastOf(bob, { convoId: other })) {
      expectError(await mark(bob, convoId, cursor), 'InvalidCursor')
    }
    const [{ cursor } = { cursor: '' }] = await pastOf(bob, { convoId })
    for (const bad of [`${cursor}A`, cursor.slice(0, -2), cursor.slice(2), cursor.toUpperCase()]) {
      const answer = await mark(bob, convoId, bad)
      if (answer.status !== 200) expectError(answer, 'InvalidCursor')
    }
    expect(await unread(bob)).toEqual({ [convoId]: 5, [other]: 5 })
    expectError(await mark(eve, convoId, cursor), 'ConvoNotFound')
    await bob.ok('leaveConvo', { convoId })
    expectError(await mark(bob, convoId, cursor), 'NotMember')
    for (const wrong of [{ cursor }, { sinceMessage: cursor }]) {
      expectError(await alice.call('getMessages', { convoId, ...wrong }), 'InvalidCursor')
    }
    expectError(await alice.call('getConvos', { cursor }), 'InvalidCursor')
  })

  it.each<[string, (fields: Fields) => Partial<Fields>]>([
    ['of another life of the database', () => ({ tag: '0'.repeat(12) })],
    ['of a time that is none', () => ({ tag: '0'.repeat(12), atMs: Number.MAX_SAFE_INTEGER })],
    [
      'since a time that is none',
      () => ({ since: { kind: 'time', ms: Number.MAX_SAFE_INTEGER }, place: undefined }),
    ],
    [
      'of the future',
      () => ({ since: { kind: 'snapshot', snapshot: { xmax: 2 ** 48, xip: [] } }, place: undefined }),
    ],
    ['with an entry beyond all', ({ place }) => ({ place: { ...place!, seq: Number.MAX_SAFE_INTEGER } })],
    ['with a row beyond all', ({ place }) => ({ place: { ...place!, n: Number.MAX_SAFE_INTEGER } })],
    ['with a place that is no id', ({ place }) => ({ place: { ...place!, convoId: "';\0\\ü" } })],
    ['with a place elsewhere', ({ place }) => ({ place: { ...place!, convoId: '0'.repeat(32) } })],
  ])('made up %s is refused or marks what was had, and is no fault', async (_name, change) => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await withMessages(alice, bob)
    const second = (await pastOf(bob)).find(
      (event) => event.type === 'messageEvent' && event.message.seq === 2,
    )!
    const fields = readStreamCursor(second.cursor)
    const answer = await mark(bob, convoId, writeStreamCursor({ ...fields, ...change(fields) }))
    if (answer.status !== 200) expectError(answer, 'InvalidCursor')
    expect(server().logs.filter(({ level }) => level === 'ERROR')).toEqual([])
    expect((await unread(bob))[convoId]).toBeGreaterThanOrEqual(3)
  })
})
