import { Tailer } from '@catbird/api/events/tailer'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { ascending } from '../support/matchers.ts'
import { base64, publishDevice, welcomeFor } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import { openReader, type ReaderOptions } from '../support/streams/stream-reader.ts'
import { useServer } from '../support/use-server.ts'

const KIB = 2 ** 10
const MIB = 2 ** 20

const WAYS = [
  { kind: 'sse', env: MODES[1].env },
  { kind: 'socket', env: MODES[2].env },
] as const

const messagesIn = (events: readonly StreamEvent[]) =>
  events.flatMap((event) => (event.type === 'messageEvent' ? [event.message] : []))
const infosIn = (events: readonly StreamEvent[]) =>
  events.flatMap((event) => (event.type === 'infoEvent' ? [event.info] : []))
const convoOf = (event: StreamEvent) => (event.type === 'messageEvent' ? event.message : event).convoId
const withoutCursor = ({ cursor: _, ...rest }: StreamEvent) => rest
const seqOf = (event: StreamEvent) => {
  if (event.type === 'messageEvent') return event.message.seq
  return event.type === 'membershipEvent' ? event.seq : undefined
}
const isSeq = (seq: number) => (event: StreamEvent) =>
  event.type === 'messageEvent' && event.message.seq === seq
const isEphemeral = (event: StreamEvent) => event.type === 'ephemeralEvent'

const send = (client: TestClient, convoId: string, epoch = 0, more: Record<string, unknown> = {}) =>
  client.ok('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch), ...more })
const commit = (client: TestClient, convoId: string, epoch: number, didList: string[] = [], more = {}) =>
  client.ok('addMembers', { convoId, didList, commit: commitFor(convoId, epoch), ...more })

describe.each(WAYS)('a stream over $kind', ({ kind, env }) => {
  const { people, server } = useServer(env)
  const open = async (client: TestClient, options: Partial<ReaderOptions> = {}) => {
    const reader = await openReader(kind, { url: server().url, token: await client.token(), ...options })
    onTestFinished(() => reader.close())
    return reader
  }
  /** All that a stream from this cursor says before it has caught up. */
  const pastOf = async (client: TestClient, options: Partial<ReaderOptions>) => {
    const reader = await open(client, options)
    await reader.until('caughtUp')
    await reader.close()
    return reader.events.slice(0, -1)
  }
  const entriesOf = async (client: TestClient, convoId: string) =>
    (await client.ok('getMessages', { convoId, sinceSeq: 0, markRead: false })).messages

  it.each(['', undefined])('begins now with the cursor %j, and says so at once', async (cursor) => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    await send(alice, convoId)
    const reader = await open(alice, cursor === undefined ? {} : { cursor })
    await reader.until('caughtUp')
    await send(alice, convoId)
    await reader.next(isSeq(2))
    expect(reader.events.map(({ type }) => type)).toEqual(['infoEvent', 'messageEvent'])
  })

  it('begins with the oldest event for the cursor 0, says once that it has caught up, and goes on', async () => {
    const [alice, bob] = people('alice', 'bob')
    const input = { epoch: 0, initialMembers: [alice.did] }
    const convoIds = [await createConvo(bob, input), await createConvo(bob, input)]
    for (const convoId of convoIds) for (const _ of ascending(3)) await send(bob, convoId)
    const reader = await open(alice, { cursor: '0' })
    await reader.until('caughtUp')
    for (const convoId of convoIds) {
      await send(alice, convoId)
      await reader.next((event) => isSeq(4)(event) && convoOf(event) === convoId)
    }
    for (const convoId of convoIds) {
      const ofConvo = messagesIn(reader.events).filter((message) => message.convoId === convoId)
      expect(ofConvo.map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
    }
    expect(infosIn(reader.events)).toEqual(['caughtUp'])
    expect(infosIn(reader.events.slice(-3))).toEqual(['caughtUp'])
  })

  it('is told of what its own server commits, and need not find it', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    await (await open(alice)).until('caughtUp')
    const poke = vi.spyOn(Tailer.prototype, 'poke')
    onTestFinished(() => poke.mockRestore())
    await send(alice, convoId)
    expect(poke).toHaveBeenCalled()
  })

  it('tells of every entry what getMessages tells, live and from the past', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const live = await open(bob, { convoId })
    await send(alice, convoId)
    await send(bob, convoId, 0, { embedType: 'image', embedUri: 'https://a.example/b?c=ü', msgId: 'one' })
    await commit(alice, convoId, 0)
    await send(alice, convoId, 1, { ciphertext: messageFor(convoId, 1, 8 * KIB) })
    await send(alice, convoId, 1, { ciphertext: messageFor(convoId, 1, 70 * KIB) })
    await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 1, 300 * KIB) })
    await live.next(isSeq(6))
    const entries = await entriesOf(bob, convoId)
    expect(entries).toHaveLength(6)
    expect(messagesIn(live.events)).toEqual(entries)
    expect(messagesIn(await pastOf(bob, { cursor: '0' }))).toEqual(entries)
    expect(messagesIn(await pastOf(bob, { cursor: '0', convoId }))).toEqual(entries)
  })

  it('tells of the commits without bytes of an untracked conversation', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const convoId = await createConvo(alice, { initialMembers: [bob.did] })
    const live = await open(bob)
    await alice.ok('addMembers', { convoId, didList: [carol.did] })
    await alice.ok('leaveConvo', { convoId, targetDid: carol.did })
    await live.next(isSeq(2))
    const entries = await entriesOf(bob, convoId)
    expect(entries.map(({ ciphertext, messageType }) => [messageType, ciphertext.$bytes])).toEqual([
      ['commit', ''],
      ['commit', ''],
    ])
    expect(messagesIn(live.events)).toEqual(entries)
    expect(messagesIn(await pastOf(bob, { cursor: '0' }))).toEqual(entries)
  })

  it('carries messages of all sizes to 10 MiB, live and from the past, and what follows them at once', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const live = await open(bob)
    const sent: string[] = []
    for (const sizes of [[100], [9 * MIB, 100], [MIB], [10 * MIB, 100]]) {
      for (const size of sizes) {
        const ciphertext = messageFor(convoId, 0, size)
        await send(alice, convoId, 0, { ciphertext })
        sent.push(ciphertext.$bytes)
      }
      await live.next(isSeq(sent.length), 20_000)
    }
    for (const events of [live.events, await pastOf(bob, { cursor: '0' })]) {
      const messages = messagesIn(events)
      expect(messages.map(({ seq }) => seq)).toEqual(ascending(6))
      // Said in a word: nobody wants to read the difference.
      expect(messages.map(({ ciphertext }, i) => ciphertext.$bytes === sent[i])).not.toContain(false)
    }
  })

  it('goes on exactly behind the cursor of every event, of one conversation and of all', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const input = { epoch: 0, initialMembers: [bob.did] }
    const device = await publishDevice(bob)
    const welcomeMessage = base64(await welcomeFor(device))
    const live = await open(bob)
    const convoIds = [await createConvo(alice, { ...input, welcomeMessage }), await createConvo(alice, input)]
    for (const epoch of [0, 1]) {
      for (const convoId of convoIds) {
        await send(alice, convoId, epoch)
        const change = { targetDid: carol.did, commit: commitFor(convoId, epoch), convoId }
        if (epoch === 0) await commit(alice, convoId, epoch, [carol.did])
        else await alice.ok('leaveConvo', change)
        await live.next((event) => convoOf(event) === convoId && isSeq(2 * epoch + 2)(event))
      }
    }
    await live.next((event) => event.type === 'membershipEvent' && event.action === 'removed')
    for (const convoId of [undefined, ...convoIds]) {
      const past = await pastOf(bob, { cursor: '0', convoId })
      for (const [index, { cursor }] of past.entries()) {
        expectGoesOn(past, index, await pastOf(bob, { cursor, convoId }), 1)
      }
    }
    const told = live.events.filter(({ type }) => type !== 'infoEvent')
    for (const convoId of convoIds) {
      const past = (await pastOf(bob, { cursor: '0', convoId })).map(withoutCursor)
      expect(told.filter((event) => convoOf(event) === convoId).map(withoutCursor)).toEqual(past)
    }
    for (const [index, { cursor }] of told.entries()) {
      expectGoesOn(told, index, await pastOf(bob, { cursor }), 2)
    }
  })

  it('goes on behind the cursors of caughtUp and of what is ephemeral', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    await send(alice, convoId)
    const reader = await open(alice, { cursor: '0' })
    const caughtUp = await reader.until('caughtUp')
    await alice.ok('sendEphemeral', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    const ephemeral = await reader.next(isEphemeral)
    expect(ephemeral.cursor).toBe(caughtUp.cursor)
    expect(await pastOf(alice, { cursor: ephemeral.cursor })).toEqual([])
    await send(alice, convoId)
    expect((await pastOf(alice, { cursor: ephemeral.cursor })).map(seqOf)).toEqual([2])
  })

  it('tells who joins, leaves and is removed, and at which entry', async () => {
    const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
    const live = await open(alice)
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did, carol.did] })
    await send(alice, convoId)
    await carol.ok('leaveConvo', { convoId })
    await commit(alice, convoId, 0, [dave.did])
    await alice.ok('leaveConvo', { convoId, targetDid: bob.did, commit: commitFor(convoId, 1) })
    await commit(alice, convoId, 2, [carol.did, bob.did])
    await live.next((event) => event.type === 'membershipEvent' && event.seq === 4 && event.did === carol.did)
    const changes = (events: readonly StreamEvent[]) =>
      events.flatMap((event) =>
        event.type === 'membershipEvent' && event.did !== alice.did
          ? [`${event.did} ${event.action} ${event.seq}`]
          : [],
      )
    const told = [
      [`${bob.did} joined 0`, `${carol.did} joined 0`],
      [`${carol.did} left 1`],
      [`${dave.did} joined 2`],
      [`${bob.did} removed 3`],
      [`${bob.did} joined 4`, `${carol.did} joined 4`],
    ]
    const past = changes(await pastOf(alice, { cursor: '0' }))
    expect(past.toSorted()).toEqual(told.flat().toSorted())
    expect(changes(live.events)).toEqual(past)
    expect(past.map((change) => change.split(' ')[2])).toEqual(['0', '0', '1', '2', '3', '4', '4'])
  })

  it('tells of a Welcome who is invited, and nobody else', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const welcomeMessage = base64(await welcomeFor(await publishDevice(bob)))
    const readers = await Promise.all([alice, bob, carol].map((client) => open(client)))
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [carol.did] })
    await commit(alice, convoId, 0, [bob.did], { welcomeMessage })
    await send(alice, convoId, 1)
    for (const reader of readers) await reader.next(isSeq(2))
    const pasts = await Promise.all([alice, bob, carol].map((client) => pastOf(client, { cursor: '0' })))
    for (const streams of [readers.map(({ events }) => events), pasts]) {
      const welcomes = streams.map((events) => events.filter(({ type }) => type === 'welcomeEvent'))
      expect(welcomes.map((events) => events.map(convoOf))).toEqual([[], [convoId], []])
    }
    expect((await bob.ok('getWelcome', { convoId })).welcome).toBe(welcomeMessage)
  })

  it('passes on what is ephemeral to present members, live alone, and to the sender too', async () => {
    const [alice, bob, carol, eve] = people('alice', 'bob', 'carol', 'eve')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did, carol.did] })
    const other = await createConvo(alice, { epoch: 0, initialMembers: [bob.did, eve.did] })
    await send(alice, convoId)
    await carol.ok('leaveConvo', { convoId })
    const present = [await open(alice), await open(bob), await open(bob, { convoId, cursor: '0' })]
    const absent = [await open(carol), await open(carol, { convoId }), await open(eve)]
    absent.push(await open(bob, { convoId: other }))
    for (const reader of [...present, ...absent]) await reader.until('caughtUp')
    const cursors = present.map(({ cursor }) => cursor)
    const ciphertext = messageFor(convoId, 0)
    await bob.ok('sendEphemeral', { convoId, epoch: 0, ciphertext })
    const heard = await Promise.all(present.map((reader) => reader.next(isEphemeral)))
    const event = { type: 'ephemeralEvent', convoId, sender: bob.did, ciphertext, epoch: 0 }
    expect(heard).toEqual(cursors.map((cursor) => ({ ...event, cursor })))
    // Whoever were to get it would have got it before these.
    await alice.ok('sendEphemeral', { convoId: other, epoch: 0, ciphertext: messageFor(other, 0) })
    for (const reader of absent.slice(2)) expect(convoOf(await reader.next(isEphemeral))).toBe(other)
    await createConvo(alice, { epoch: 0, initialMembers: [carol.did] })
    await absent[0]!.next(({ type }) => type === 'membershipEvent')
    expect(absent.slice(0, 2).flatMap(({ events }) => events.filter(isEphemeral))).toEqual([])
    expect((await pastOf(bob, { cursor: '0' })).filter(isEphemeral)).toEqual([])
  })
})

/** Holds what a stream from one event's cursor says to what follows that event: all of it, and repeats at the seam. */
function expectGoesOn(all: StreamEvent[], index: number, got: StreamEvent[], repeats: number): void {
  const rest = all.slice(index + 1)
  for (const convoId of new Set(all.map(convoOf))) {
    const [past, next, come] = [all, rest, got].map((events) =>
      events.filter((event) => convoOf(event) === convoId).map(withoutCursor),
    )
    expect(come!.length).toBeGreaterThanOrEqual(next!.length)
    expect(come).toEqual(past!.slice(past!.length - come!.length))
  }
  expect(got.length - rest.length).toBeLessThanOrEqual(repeats)
}
