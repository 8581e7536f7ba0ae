import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { MODES } from '../support/server.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import { openReader, type ReaderOptions, type StreamReader } from '../support/streams/stream-reader.ts'
import { useServer } from '../support/use-server.ts'

const WAYS = [
  { kind: 'sse', env: MODES[2].env },
  { kind: 'socket', env: MODES[1].env },
] as const

/** The name in a DID as `people` makes them. */
const nameIn = (did: string) => /^did:plc:(\w+)[0-9a-f]{12}$/.exec(did)![1]!

function nameOf(event: StreamEvent): string {
  if (event.type === 'messageEvent') return `${event.message.messageType} ${event.message.seq}`
  if (event.type === 'membershipEvent') return `${nameIn(event.did)} ${event.action} ${event.seq}`
  return event.type === 'infoEvent' ? event.info : event.type
}

/** What was told of a conversation, in order. */
const told = (events: readonly StreamEvent[], convoId: string) =>
  events
    .filter((event) => (event.type === 'messageEvent' ? event.message : event).convoId === convoId)
    .map(nameOf)

const send = (client: TestClient, convoId: string, epoch: number) =>
  client.ok('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })
const add = (client: TestClient, convoId: string, epoch: number, didList: string[]) =>
  client.ok('addMembers', { convoId, didList, commit: commitFor(convoId, epoch) })
const remove = (client: TestClient, convoId: string, epoch: number, targetDid: string) =>
  client.ok('leaveConvo', { convoId, targetDid, commit: commitFor(convoId, epoch) })
const whisper = (client: TestClient, convoId: string, epoch: number) =>
  client.ok('sendEphemeral', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })

describe.each(WAYS)('a stream over $kind', ({ kind, env }) => {
  const { people, server, sql } = useServer(env)
  const open = async (client: TestClient, options: Partial<ReaderOptions> = {}) => {
    const reader = await openReader(kind, { url: server().url, token: await client.token(), ...options })
    onTestFinished(() => reader.close())
    return reader
  }
  const pastOf = async (client: TestClient, options: Partial<ReaderOptions> = {}) => {
    const reader = await open(client, { cursor: '0', ...options })
    await reader.until('caughtUp')
    await reader.close()
    return reader.events.slice(0, -1)
  }
  const refusal = (client: TestClient, options: Partial<ReaderOptions>) =>
    open(client, options).then(
      () => expect.fail('the stream was opened'),
      (refused) => refused,
    )
  /** Makes a conversation of both and lets something happen there, stored and not; whatever was sent before has come. */
  const fence = async (sender: TestClient, { did }: TestClient, ...readers: StreamReader[]) => {
    const convoId = await createConvo(sender, { epoch: 0, initialMembers: [did] })
    await send(sender, convoId, 0)
    const isHere = (event: StreamEvent) =>
      (event.type === 'messageEvent' ? event.message : event).convoId === convoId
    for (const reader of readers) {
      await reader.next((event) => event.type === 'messageEvent' && isHere(event))
    }
    await whisper(sender, convoId, 0)
    for (const reader of readers) {
      await reader.next((event) => event.type === 'ephemeralEvent' && isHere(event))
    }
  }
  const sees = (reader: StreamReader, convoId: string, name: string) =>
    reader.next((event) => told([event], convoId)[0] === name)

  it('follows conversations that begin while it is open: made by others, by its reader, and joined later', async () => {
    const [alice, bob] = people('alice', 'bob')
    const live = await open(bob)
    await live.until('caughtUp')
    const invited = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const own = await createConvo(bob, { epoch: 0 })
    const joined = await createConvo(alice, { epoch: 0 })
    await send(alice, joined, 0)
    await add(alice, joined, 0, [bob.did])
    for (const [sender, convoId, epoch] of [
      [alice, invited, 0],
      [bob, own, 0],
      [alice, joined, 1],
    ] as const) {
      const { seq } = await send(sender, convoId, epoch)
      await sees(live, convoId, `app ${seq}`)
      await whisper(sender, convoId, epoch)
      await sees(live, convoId, 'ephemeralEvent')
    }
    expect(told(live.events, invited)).toEqual(['bob joined 0', 'app 1', 'ephemeralEvent'])
    expect(told(live.events, own)).toEqual(['bob joined 0', 'app 1', 'ephemeralEvent'])
    expect(told(live.events, joined)).toEqual(['commit 2', 'bob joined 2', 'app 3', 'ephemeralEvent'])
  })

  it('tells who is removed of the commit that does it, that it is the end, and nothing after', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did, carol.did] })
    const [all, one, other] = [await open(bob), await open(bob, { convoId }), await open(carol)]
    for (const reader of [all, one, other]) await reader.until('caughtUp')
    await send(alice, convoId, 0)
    await remove(alice, convoId, 0, bob.did)
    await send(alice, convoId, 1)
    await sees(other, convoId, 'app 3')
    await whisper(alice, convoId, 1)
    await sees(other, convoId, 'ephemeralEvent')
    await remove(alice, convoId, 1, carol.did)
    await sees(other, convoId, 'membershipEnded')
    await fence(alice, bob, all)
    const end = ['app 1', 'commit 2', 'bob removed 2', 'membershipEnded']
    expect(told(all.events, convoId)).toEqual(end)
    expect(told(one.events, convoId)).toEqual(end)
    expect(told(other.events, convoId)).toEqual([
      ...end.slice(0, -1),
      'app 3',
      'ephemeralEvent',
      'commit 4',
      'carol removed 4',
      'membershipEnded',
    ])
  })

  it('tells who leaves that it is the end, and nothing after, not even its removal from the group', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const [all, one] = [await open(bob), await open(bob, { convoId })]
    for (const reader of [all, one]) await reader.until('caughtUp')
    await send(bob, convoId, 0)
    await bob.ok('leaveConvo', { convoId })
    for (const reader of [all, one]) await sees(reader, convoId, 'membershipEnded')
    await send(alice, convoId, 0)
    await whisper(alice, convoId, 0)
    await remove(alice, convoId, 0, bob.did)
    await send(alice, convoId, 1)
    await fence(alice, bob, all)
    for (const { events } of [all, one]) {
      expect(told(events, convoId)).toEqual(['app 1', 'bob left 1', 'membershipEnded'])
    }
    expect(told(await pastOf(alice), convoId)).toEqual([
      'alice joined 0',
      'bob joined 0',
      'app 1',
      'bob left 1',
      'app 2',
      'commit 3',
      'app 4',
    ])
  })

  it('goes on when its reader is added again, with nothing from in between, and ends again', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const [all, one, own] = [await open(bob), await open(bob, { convoId }), await open(alice)]
    for (const reader of [all, one, own]) await reader.until('caughtUp')
    const removeAndTalk = async (epoch: number) => {
      await remove(alice, convoId, epoch, bob.did)
      for (const reader of [all, one]) await sees(reader, convoId, 'membershipEnded')
      await send(alice, convoId, epoch + 1)
      await whisper(alice, convoId, epoch + 1)
      await sees(own, convoId, 'ephemeralEvent')
    }
    await removeAndTalk(0)
    await add(alice, convoId, 1, [bob.did])
    await send(alice, convoId, 2)
    for (const reader of [all, one]) await sees(reader, convoId, 'app 4')
    await whisper(alice, convoId, 2)
    for (const reader of [all, one, own]) await sees(reader, convoId, 'ephemeralEvent')
    await removeAndTalk(2)
    await fence(alice, bob, all)
    const first = ['commit 1', 'bob removed 1', 'membershipEnded']
    const second = ['commit 3', 'bob joined 3', 'app 4', 'ephemeralEvent', 'commit 5', 'bob removed 5']
    for (const { events } of [all, one]) {
      expect(told(events, convoId)).toEqual([...first, ...second, 'membershipEnded'])
    }
  })

  it('tells a former member the past of each of its memberships, from every position in it', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0 })
    await send(alice, convoId, 0)
    await add(alice, convoId, 0, [bob.did])
    await send(alice, convoId, 1)
    await remove(alice, convoId, 1, bob.did)
    await send(alice, convoId, 2)
    await add(alice, convoId, 2, [bob.did])
    await send(alice, convoId, 3)
    await bob.ok('leaveConvo', { convoId })
    await send(alice, convoId, 3)
    const first = ['commit 2', 'bob joined 2', 'app 3', 'commit 4', 'bob removed 4', 'membershipEnded']
    const second = ['commit 6', 'bob joined 6', 'app 7', 'bob left 7', 'membershipEnded']
    for (const filter of [{}, { convoId }]) {
      const past = await pastOf(bob, filter)
      expect(told(past, convoId)).toEqual([...first, ...second])
      for (const [index, { cursor }] of past.entries()) {
        const rest = told(await pastOf(bob, { cursor, ...filter }), convoId)
        const repeats = rest.length - (past.length - 1 - index)
        expect(repeats).toBeGreaterThanOrEqual(0)
        expect(repeats).toBeLessThanOrEqual(2)
        expect(rest).toEqual([...first, ...second].slice(past.length - rest.length))
      }
    }
  })

  it('of a former member lets no event through that came before or between its memberships', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const convoId = await createConvo(alice, { epoch: 0 })
    const creators = await open(alice, { convoId })
    await send(alice, convoId, 0)
    await add(alice, convoId, 0, [bob.did])
    await remove(alice, convoId, 1, bob.did)
    await send(alice, convoId, 2)
    const before = await sees(creators, convoId, 'app 1')
    const between = await sees(creators, convoId, 'app 4')
    const later = [before, between].map(async ({ cursor }) =>
      told(await pastOf(bob, { cursor, convoId }), convoId),
    )
    const own = ['commit 2', 'bob joined 2', 'commit 3', 'bob removed 3', 'membershipEnded']
    expect(await Promise.all(later)).toEqual([own, []])
    expectError(await refusal(eve, { cursor: before.cursor, convoId }), 'ConvoNotFound')
    expect(told(await pastOf(eve), convoId)).toEqual([])
  })

  it('of one conversation is for its members and former members, and hides it from others', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    await bob.ok('leaveConvo', { convoId })
    expect(told(await pastOf(bob, { convoId }), convoId)).toEqual([
      'bob joined 0',
      'bob left 0',
      'membershipEnded',
    ])
    for (const cursor of [undefined, '0']) {
      expectError(await refusal(eve, { convoId, cursor }), 'ConvoNotFound')
      expectError(await refusal(alice, { convoId: newGroupId(), cursor }), 'ConvoNotFound')
    }
    for (const bad of ['', 'x'.repeat(129), 'a\0b']) {
      expectError(await refusal(alice, { convoId: bad }), 'InvalidRequest')
    }
  })

  it('of one conversation says nothing of others', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const [all, one] = [await open(bob), await open(bob, { convoId })]
    for (const reader of [all, one]) await reader.until('caughtUp')
    await fence(alice, bob, all)
    await send(alice, convoId, 0)
    await sees(one, convoId, 'app 1')
    expect(one.events.map(nameOf)).toEqual(['caughtUp', 'app 1'])
  })

  it('keeps no expired message, and says of what is left what getMessages says', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    for (let i = 0; i < 3; i++) await send(alice, convoId, 0)
    await add(alice, convoId, 0, [])
    await sql()`update log set expires_at = now() where convo_id = ${convoId} and seq <= 2`
    expect(told(await pastOf(bob), convoId)).toEqual(['bob joined 0', 'app 3', 'commit 4'])
  })
})
