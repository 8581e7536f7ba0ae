import { describe, expect, it } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { ascending } from '../support/matchers.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

describe('getConvos', () => {
  const { people, sql } = useServer(MODES[0].env)
  const send = (client: TestClient, convoId: string, epoch = 0) =>
    client.ok('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })
  const idsOf = async (client: TestClient) => (await client.ok('getConvos')).conversations.map(({ id }) => id)

  it('answers the conversations with the newest activity first', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convos: string[] = []
    for (const _ of ascending(4))
      convos.push(await createConvo(alice, { initialMembers: [bob.did], epoch: 0 }))
    expect(await idsOf(bob)).toEqual(convos.toReversed())
    await send(alice, convos[1]!)
    expect(await idsOf(bob)).toEqual([1, 3, 2, 0].map((i) => convos[i]))
    await alice.ok('addMembers', { convoId: convos[0], didList: [], commit: commitFor(convos[0]!, 0) })
    expect(await idsOf(bob)).toEqual([0, 1, 3, 2].map((i) => convos[i]))
  })

  it('answers a view that follows what happens', async () => {
    const [alice, bob] = people('alice', 'bob')
    const metadata = { name: 'Cats' }
    const convoId = await createConvo(alice, { initialMembers: [bob.did], metadata, epoch: 0 })
    const view = async () => (await bob.ok('getConvos')).conversations[0]!
    expect(await view()).not.toHaveProperty('lastMessageAt')
    const { receivedAt } = await send(alice, convoId)
    expect(await view()).toMatchObject({ lastMessageAt: receivedAt, lastSeq: 1, unreadCount: 1, metadata })
    await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 0) })
    expect(await view()).toMatchObject({ lastMessageAt: receivedAt, lastSeq: 2, unreadCount: 1, epoch: 1 })
    await send(bob, convoId, 1)
    expect(await view()).toMatchObject({ lastSeq: 3, unreadCount: 1 })
  })

  it('pages without a gap and without a repeat', async () => {
    const [alice] = people('alice')
    const convos: string[] = []
    for (const _ of ascending(7)) convos.push(await createConvo(alice, { epoch: 0 }))
    for (const i of [5, 0]) await send(alice, convos[i]!)
    const pages: string[][] = []
    let cursor: string | undefined
    do {
      const answer = await alice.ok('getConvos', { limit: 3, ...(cursor && { cursor }) })
      pages.push(answer.conversations.map(({ id }) => id))
      cursor = answer.cursor
    } while (cursor)
    expect(pages.map(({ length }) => length)).toEqual([3, 3, 1])
    expect(pages.flat()).toEqual([0, 5, 6, 4, 3, 2, 1].map((i) => convos[i]))
    expect(await alice.ok('getConvos', { limit: 7 })).not.toHaveProperty('cursor')
    for (const bad of ['x', '', '7', 'e30']) {
      expectError(await alice.call('getConvos', { cursor: bad }), 'InvalidCursor')
    }
    for (const limit of [0, 101, 'x']) {
      expectError(await alice.call('getConvos', { limit }), 'InvalidRequest')
    }
  })

  it('answers nothing to who is in none, and no longer what one has left', async () => {
    const [alice, bob] = people('alice', 'bob')
    expect(await bob.ok('getConvos')).toEqual({ conversations: [] })
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    expect(await idsOf(bob)).toEqual([convoId])
    await bob.ok('leaveConvo', { convoId })
    expect(await idsOf(bob)).toEqual([])
    await alice.ok('addMembers', { convoId, didList: [bob.did], commit: commitFor(convoId, 0) })
    expect(await idsOf(bob)).toEqual([convoId])
  })

  it('counts what is unread exactly up to 500', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const unread = async () => (await bob.ok('getConvos')).conversations[0]!.unreadCount
    for (const _ of ascending(10)) await Promise.all(ascending(50).map(() => send(alice, convoId)))
    expect(await unread()).toBe(500)
    await Promise.all(ascending(5).map(() => send(alice, convoId)))
    expect(await unread()).toBeGreaterThanOrEqual(500)
    await bob.ok('updateCursor', { convoId, cursor: '8' })
    expect(await unread()).toBe(497)
  })

  it('counts neither own nor expired messages, nor commits', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    for (const client of [alice, bob, alice]) await send(client, convoId)
    await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 0) })
    const unread = async (client: TestClient) => (await client.ok('getConvos')).conversations[0]!.unreadCount
    expect([await unread(alice), await unread(bob)]).toEqual([1, 2])
    await sql()`update log set expires_at = now() where convo_id = ${convoId} and seq = 1`
    expect([await unread(alice), await unread(bob)]).toEqual([1, 1])
  })
})
