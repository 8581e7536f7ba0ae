import { cleanUp } from '@catbird/api/jobs/clean-up'
import { describe, expect, it } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { chainOf } from '../support/log-chain.ts'
import { aHash, ascending, aTime } from '../support/matchers.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

describe('getMessages', () => {
  const { people, sql } = useServer(MODES[0].env)
  const send = (client: TestClient, convoId: string, epoch = 0, size = 100) =>
    client.ok('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch, size) })
  const commit = (client: TestClient, convoId: string, epoch: number, didList: string[] = []) =>
    client.ok('addMembers', { convoId, didList, commit: commitFor(convoId, epoch) })
  const seqsOf = ({ messages }: { messages: { seq: number }[] }) => messages.map(({ seq }) => seq)
  /** Five times a message and a commit: entries 1 to 10, commits at the even ones. */
  const withEntries = async (alice: TestClient, bob: TestClient) => {
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    for (const epoch of ascending(5, 0)) {
      await send(alice, convoId, epoch)
      await commit(alice, convoId, epoch)
    }
    return convoId
  }
  /** All pages from a first request on. */
  const pagesOf = async (client: TestClient, input: Record<string, unknown>) => {
    const pages: number[][] = []
    let cursor: string | undefined
    do {
      const answer = await client.ok('getMessages', { ...input, ...(cursor && { cursor }) })
      pages.push(seqsOf(answer))
      cursor = answer.cursor
    } while (cursor)
    return pages
  }

  it('answers entries whole, with the first and last seq of the log', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await withEntries(alice, bob)
    const answer = await bob.ok('getMessages', { convoId, sinceSeq: 0 })
    expect(answer).toMatchObject({ firstSeq: 1, lastSeq: 10 })
    expect(answer).not.toHaveProperty('cursor')
    for (const [i, message] of answer.messages.entries()) {
      expect(message).toEqual({
        id: expect.stringMatching(/./),
        convoId,
        sender: alice.did,
        ciphertext: { $bytes: expect.stringMatching(/./) },
        epoch: Math.ceil(i / 2),
        seq: i + 1,
        createdAt: aTime,
        messageType: i % 2 ? 'commit' : 'app',
        logHash: aHash,
      })
    }
    expect(answer.messages.map(({ logHash }) => logHash)).toEqual(chainOf(convoId, answer.messages))
    expect(new Set(answer.messages.map(({ id }) => id)).size).toBe(10)
  })

  it('answers the newest first without a position and pages back without a gap', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await withEntries(alice, bob)
    expect(await pagesOf(bob, { convoId, limit: 4 })).toEqual([
      [10, 9, 8, 7],
      [6, 5, 4, 3],
      [2, 1],
    ])
    expect(await pagesOf(bob, { convoId, limit: 5 })).toEqual([
      [10, 9, 8, 7, 6],
      [5, 4, 3, 2, 1],
    ])
    expect(await pagesOf(bob, { convoId, limit: 2, type: 'app' })).toEqual([[9, 7], [5, 3], [1]])
  })

  it('answers the oldest first after a position and pages on without a gap', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await withEntries(alice, bob)
    const { messages } = await bob.ok('getMessages', { convoId, sinceSeq: 0 })
    for (const position of [{ sinceSeq: 3 }, { sinceMessage: messages[2]!.id }]) {
      expect(await pagesOf(bob, { convoId, limit: 3, ...position })).toEqual([[4, 5, 6], [7, 8, 9], [10]])
    }
    expect(await pagesOf(bob, { convoId, limit: 2, type: 'commit', sinceSeq: 3 })).toEqual([
      [4, 6],
      [8, 10],
    ])
    for (const sinceSeq of [10, 11, 2 ** 53 - 1]) {
      expect(await bob.ok('getMessages', { convoId, sinceSeq })).toEqual({
        messages: [],
        firstSeq: 1,
        lastSeq: 10,
      })
    }
  })

  it('answers commits alone with the oldest first', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await withEntries(alice, bob)
    expect(await pagesOf(bob, { convoId, limit: 2, type: 'commit' })).toEqual([[2, 4], [6, 8], [10]])
  })

  it('stays gapless while entries come in', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await withEntries(alice, bob)
    const back = await bob.ok('getMessages', { convoId, limit: 4 })
    await send(alice, convoId, 5)
    const older = await bob.ok('getMessages', { convoId, limit: 4, cursor: back.cursor })
    expect(seqsOf(older)).toEqual([6, 5, 4, 3])
    const on = await bob.ok('getMessages', { convoId, sinceSeq: 6, limit: 4 })
    await send(alice, convoId, 5)
    expect(seqsOf(await bob.ok('getMessages', { convoId, cursor: on.cursor }))).toEqual([11, 12])
  })

  it('ends a page early at 4 MiB, yet never empty', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    for (const mib of [1.5, 1.5, 1.5, 5, 0.1, 0.1]) await send(alice, convoId, 0, mib * 2 ** 20)
    expect(await pagesOf(bob, { convoId, sinceSeq: 0 })).toEqual([[1, 2], [3], [4], [5, 6]])
    expect(await pagesOf(bob, { convoId })).toEqual([[6, 5], [4], [3, 2], [1]])
  })

  it('refuses positions that are none of this conversation', async () => {
    const [alice, bob] = people('alice', 'bob')
    const [convoId, other] = [await withEntries(alice, bob), await withEntries(alice, bob)]
    const page = await bob.ok('getMessages', { convoId: other, limit: 2 })
    for (const cursor of [page.cursor!, 'x', '', '5', 'e30', `${page.cursor}A`]) {
      expectError(await bob.call('getMessages', { convoId, cursor }), 'InvalidCursor')
    }
    for (const sinceMessage of [page.messages[0]!.id, 'x', '', 'x'.repeat(2000)]) {
      expectError(await bob.call('getMessages', { convoId, sinceMessage }), 'InvalidCursor')
    }
    for (const bad of [{ limit: 0 }, { limit: 101 }, { type: 'all!' }, { sinceSeq: -1 }, { markRead: 'x' }]) {
      expectError(await bob.call('getMessages', { convoId, ...bad }), 'InvalidRequest')
    }
    expect(seqsOf(await bob.ok('getMessages', { convoId, limit: 100 })).length).toBe(10)
  })

  it('marks read up to the highest seq answered, unless told not to or asked for commits', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await withEntries(alice, bob)
    const unreadAfter = async (input: object) => {
      await bob.ok('getMessages', { convoId, ...input })
      return (await bob.ok('getConvos')).conversations[0]!.unreadCount
    }
    expect(await unreadAfter({ markRead: false })).toBe(5)
    expect(await unreadAfter({ type: 'commit' })).toBe(5)
    expect(await unreadAfter({ sinceSeq: 0, limit: 3 })).toBe(3)
    expect(await unreadAfter({ sinceSeq: 0, limit: 1 })).toBe(3)
    expect(await unreadAfter({ type: 'app', sinceSeq: 0, limit: 4 })).toBe(1)
    expect(await unreadAfter({})).toBe(0)
  })

  it('answers a member within each of its intervals, both ends included, also afterwards', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const convoId = await createConvo(alice, { initialMembers: [carol.did], epoch: 0 })
    await send(alice, convoId, 0)
    await commit(alice, convoId, 0, [bob.did])
    await send(alice, convoId, 1)
    expect(await pagesOf(bob, { convoId, sinceSeq: 0 })).toEqual([[2, 3]])
    await bob.ok('leaveConvo', { convoId })
    await send(alice, convoId, 1)
    expect(await pagesOf(bob, { convoId, sinceSeq: 0 })).toEqual([[2, 3]])
    await commit(carol, convoId, 1, [bob.did])
    await send(carol, convoId, 2)
    const removal = { convoId, targetDid: bob.did, commit: commitFor(convoId, 2) }
    await alice.ok('leaveConvo', removal)
    await send(alice, convoId, 3)
    expect(await pagesOf(bob, { convoId, sinceSeq: 0, limit: 2 })).toEqual([[2, 3], [5, 6], [7]])
    expect(await pagesOf(bob, { convoId, limit: 2 })).toEqual([[7, 6], [5, 3], [2]])
    expect(await pagesOf(alice, { convoId, sinceSeq: 0 })).toEqual([ascending(8)])
    const answer = await bob.ok('getMessages', { convoId })
    expect(answer).toMatchObject({ firstSeq: 2, lastSeq: 7 })
    const { messages } = await alice.ok('getMessages', { convoId, sinceSeq: 0 })
    for (const hidden of [messages[0]!, messages[3]!, messages[7]!]) {
      const call = await bob.call('getMessages', { convoId, sinceMessage: hidden.id })
      expectError(call, 'InvalidCursor')
    }
    expectError(await bob.call('getEpoch', { convoId }), 'NotMember')
  })

  it('answers the first members from the first entry on', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did] })
    expect(await bob.ok('getMessages', { convoId })).toMatchObject({ messages: [], lastSeq: 0 })
    await send(alice, convoId)
    expect(await pagesOf(bob, { convoId })).toEqual([[1]])
  })

  it('does not tell a stranger whether a conversation exists', async () => {
    const [alice, eve] = people('alice', 'eve')
    const convoId = await createConvo(alice)
    for (const id of [convoId, newGroupId()]) {
      expectError(await eve.call('getMessages', { convoId: id }), 'ConvoNotFound')
    }
  })

  it('keeps application messages 30 days and commits for good', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await withEntries(alice, bob)
    const rows = await sql()`
      select seq, expires_at - created_at as kept from log where convo_id = ${convoId} and seq in (1, 2)
      order by seq`
    expect(rows.map(({ kept }) => kept)).toEqual(['30 days', null])
    await sql()`update log set expires_at = now() where convo_id = ${convoId} and seq <= 5 and kind = 'app'`
    // Gone at once, and for good with the next clean-up.
    for (const messages of [3, 0]) {
      expect(await pagesOf(bob, { convoId, sinceSeq: 0 })).toEqual([[2, 4, 6, 7, 8, 9, 10]])
      expect(await bob.ok('getMessages', { convoId, limit: 1 })).toMatchObject({ firstSeq: 2, lastSeq: 10 })
      expect(await cleanUp(sql())).toMatchObject({ messages })
    }
    expect((await bob.ok('getCommits', { convoId, fromEpoch: 0 })).commits.length).toBe(5)
    expect((await send(alice, convoId, 5)).seq).toBe(11)
  })
})
