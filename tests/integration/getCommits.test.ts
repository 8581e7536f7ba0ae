import { describe, expect, it } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { chainOf } from '../support/log-chain.ts'
import { ascending, aTime } from '../support/matchers.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

describe('getCommits', () => {
  const { people } = useServer(MODES[0].env)
  /** A conversation with commits that create the epochs 1 to `count`, a message before each. */
  const withCommits = async (alice: TestClient, count: number, size = 100) => {
    const convoId = await createConvo(alice, { epoch: 0 })
    const commits = ascending(count, 0).map((epoch) => commitFor(convoId, epoch, size))
    for (const [epoch, commit] of commits.entries()) {
      await alice.ok('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })
      await alice.ok('addMembers', { convoId, didList: [], commit })
    }
    return { convoId, commits }
  }
  const epochsOf = (answer: { commits: { epoch: number }[] }) => answer.commits.map(({ epoch }) => epoch)

  it('answers each commit with its epoch, sender, bytes, time, seq and log hash', async () => {
    const [alice] = people('alice')
    const { convoId, commits } = await withCommits(alice, 3)
    const { messages } = await alice.ok('getMessages', { convoId, sinceSeq: 0 })
    const chain = chainOf(convoId, messages)
    expect(await alice.ok('getCommits', { convoId, fromEpoch: 0 })).toEqual({
      convoId,
      commits: commits.map((commitData, i) => ({
        epoch: i + 1,
        sender: alice.did,
        commitData,
        createdAt: aTime,
        seq: 2 * i + 2,
        logHash: chain[2 * i + 1],
      })),
    })
  })

  it('answers the range asked for, both ends included, ascending', async () => {
    const [alice] = people('alice')
    const { convoId } = await withCommits(alice, 5)
    const range = async (fromEpoch: number, toEpoch?: number) =>
      epochsOf(
        await alice.ok('getCommits', { convoId, fromEpoch, ...(toEpoch !== undefined && { toEpoch }) }),
      )
    expect(await range(2, 4)).toEqual([2, 3, 4])
    expect(await range(3, 3)).toEqual([3])
    expect(await range(4)).toEqual([4, 5])
    expect(await range(0, 0)).toEqual([])
    expect(await range(5)).toEqual([5])
    expect(await range(0, 2 ** 53 - 1)).toEqual([1, 2, 3, 4, 5])
  })

  it('refuses ranges that are none', async () => {
    const [alice] = people('alice')
    const { convoId } = await withCommits(alice, 1)
    const ranges = [
      { fromEpoch: 2, toEpoch: 1 },
      { fromEpoch: -1 },
      { fromEpoch: 0, toEpoch: -1 },
      { fromEpoch: '9007199254740993' },
    ]
    for (const range of ranges) {
      expectError(await alice.call('getCommits', { convoId, ...range }), 'InvalidEpochRange')
    }
    expectError(await alice.call('getCommits', { convoId }), 'InvalidRequest')
    expectError(await alice.call('getCommits', { convoId, fromEpoch: 'x' }), 'InvalidRequest')
    for (const limit of [0, 1001]) {
      expectError(await alice.call('getCommits', { convoId, fromEpoch: 0, limit }), 'InvalidRequest')
    }
  })

  it('pages without a gap and ends without a cursor', async () => {
    const [alice] = people('alice')
    const { convoId } = await withCommits(alice, 7)
    const pages: number[][] = []
    let cursor: string | undefined
    do {
      const answer = await alice.ok('getCommits', {
        convoId,
        fromEpoch: 2,
        limit: 2,
        ...(cursor && { cursor }),
      })
      pages.push(epochsOf(answer))
      cursor = answer.cursor
    } while (cursor)
    expect(pages).toEqual([
      [2, 3],
      [4, 5],
      [6, 7],
    ])
  })

  it('ends a page early at 4 MiB', async () => {
    const [alice] = people('alice')
    const { convoId, commits } = await withCommits(alice, 5, 1.5 * 2 ** 20)
    const collected: string[] = []
    let [cursor, pages] = [undefined as string | undefined, 0]
    do {
      const answer = await alice.ok('getCommits', { convoId, fromEpoch: 1, ...(cursor && { cursor }) })
      expect(answer.commits.length).toBeLessThanOrEqual(2)
      collected.push(...answer.commits.map(({ commitData }) => commitData.$bytes))
      cursor = answer.cursor
      pages++
    } while (cursor)
    expect(pages).toBe(3)
    expect(collected.every((bytes, i) => bytes === commits[i]!.$bytes)).toBe(true)
    expect(collected.length).toBe(5)
  })

  it('refuses cursors that it did not make for this conversation', async () => {
    const [alice] = people('alice')
    const [one, other] = [await withCommits(alice, 3), await withCommits(alice, 3)]
    const { cursor } = await alice.ok('getCommits', { convoId: one.convoId, fromEpoch: 0, limit: 1 })
    expect(cursor).toBeTruthy()
    const { convoId } = other
    const messages = await alice.ok('getMessages', { convoId, limit: 1 })
    for (const bad of [cursor!, messages.cursor!, 'x', '', '1', 'null', `${cursor}a`]) {
      const answer = await alice.call('getCommits', { convoId, fromEpoch: 0, cursor: bad })
      expectError(answer, 'InvalidCursor')
    }
  })

  it('leaves out what came without a commit', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice)
    for (const _ of ascending(3)) await alice.ok('addMembers', { convoId, didList: [newDid('m')] })
    await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 3) })
    expect(epochsOf(await alice.ok('getCommits', { convoId, fromEpoch: 0 }))).toEqual([4])
  })

  it('answers members within their intervals and strangers not at all', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const convoId = await createConvo(alice, { epoch: 0 })
    const commit = (epoch: number, input: object = {}) =>
      alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, epoch), ...input })
    const remove = (epoch: number) =>
      alice.ok('leaveConvo', { convoId, targetDid: bob.did, commit: commitFor(convoId, epoch) })
    await commit(0)
    await commit(1, { didList: [bob.did] })
    await commit(2)
    await remove(3)
    await commit(4)
    await commit(5, { didList: [bob.did] })
    await remove(6)
    await commit(7)
    expect(epochsOf(await bob.ok('getCommits', { convoId, fromEpoch: 0 }))).toEqual([2, 3, 4, 6, 7])
    expect(epochsOf(await alice.ok('getCommits', { convoId, fromEpoch: 0 }))).toEqual(ascending(8))
    const paged = await bob.ok('getCommits', { convoId, fromEpoch: 4, limit: 1 })
    const rest = await bob.ok('getCommits', { convoId, fromEpoch: 4, cursor: paged.cursor })
    expect([epochsOf(paged), epochsOf(rest)]).toEqual([[4], [6, 7]])
    for (const id of [convoId, newGroupId()]) {
      expectError(await eve.call('getCommits', { convoId: id, fromEpoch: 0 }), 'ConvoNotFound')
    }
  })

  it('shows a former member no epoch that came after it', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { convoId } = await withCommits(alice, 2)
    await alice.ok('addMembers', { convoId, didList: [bob.did], commit: commitFor(convoId, 2) })
    await bob.ok('leaveConvo', { convoId })
    await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 3) })
    const answer = await bob.call('getCommits', { convoId, fromEpoch: 0, toEpoch: 99 })
    expect(epochsOf(answer.body)).toEqual([3])
    expectError(await bob.call('getEpoch', { convoId }), 'NotMember')
  })
})
