import { describe, expect, it } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { ascending } from '../support/matchers.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

describe('updateCursor', () => {
  const { people } = useServer(MODES[0].env)
  /** A conversation with ten messages, all unread to the other member. */
  const withMessages = async (alice: TestClient, bob: TestClient) => {
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    for (const _ of ascending(10)) {
      await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    }
    const unread = async () => {
      const { conversations } = await bob.ok('getConvos')
      return conversations.find(({ id }) => id === convoId)!.unreadCount
    }
    return { convoId, unread }
  }

  it('moves the read position to a seq, never backwards', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { convoId, unread } = await withMessages(alice, bob)
    const steps = [
      ['4', 6],
      ['2', 6],
      ['4', 6],
      ['0', 6],
      ['10', 0],
      ['1', 0],
    ] as const
    for (const [cursor, left] of steps) {
      expect(await bob.ok('updateCursor', { convoId, cursor })).toEqual({ success: true })
      expect(await unread()).toBe(left)
    }
  })

  it('keeps the greatest of many at once', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { convoId, unread } = await withMessages(alice, bob)
    const seqs = [3, 9, 1, 7, 5, 2, 8, 4, 6]
    await Promise.all(seqs.map((seq) => bob.ok('updateCursor', { convoId, cursor: `${seq}` })))
    expect(await unread()).toBe(1)
  })

  it('takes a cursor of getMessages', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { convoId, unread } = await withMessages(alice, bob)
    const page = await bob.ok('getMessages', { convoId, sinceSeq: 0, limit: 4, markRead: false })
    expect(await unread()).toBe(10)
    expect(await bob.ok('updateCursor', { convoId, cursor: page.cursor })).toEqual({ success: true })
    expect(await unread()).toBe(6)
  })

  it('keeps the positions of conversations and of members apart', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const [one, other] = [await withMessages(alice, bob), await withMessages(carol, bob)]
    await bob.ok('updateCursor', { convoId: one.convoId, cursor: '10' })
    expect([await one.unread(), await other.unread()]).toEqual([0, 10])
  })

  it('refuses anything else', async () => {
    const [alice, bob] = people('alice', 'bob')
    const [{ convoId, unread }, other] = [await withMessages(alice, bob), await withMessages(alice, bob)]
    const page = await bob.ok('getMessages', {
      convoId: other.convoId,
      sinceSeq: 0,
      limit: 4,
      markRead: false,
    })
    for (const cursor of [page.cursor!, 'x', '', '-1', '1.5', '0x4', ' 4', '1e1', '9007199254740993']) {
      expectError(await bob.call('updateCursor', { convoId, cursor }), 'InvalidCursor')
    }
    expect(await unread()).toBe(10)
    for (const cursor of [4, null, undefined]) {
      expectError(await bob.call('updateCursor', { convoId, cursor }), 'InvalidRequest')
    }
  })

  it('is for members alone', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const { convoId } = await withMessages(alice, bob)
    await bob.ok('leaveConvo', { convoId })
    expectError(await bob.call('updateCursor', { convoId, cursor: '1' }), 'NotMember')
    for (const id of [convoId, newGroupId()]) {
      expectError(await eve.call('updateCursor', { convoId: id, cursor: '1' }), 'ConvoNotFound')
    }
  })
})
