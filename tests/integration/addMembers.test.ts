import { describe, expect, it } from 'vitest'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { bytesOf, chainOf, sha256 } from '../support/log-chain.ts'
import { aHash, ascending } from '../support/matchers.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

describe.each(MODES)('addMembers, $name', ({ env }) => {
  const { people, sql } = useServer({ ...env, MAX_MEMBERS: '60' })

  it('adds members with a commit and answers epoch, seq and log hash', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const convoId = await createConvo(alice, { epoch: 1 })
    const commit = commitFor(convoId, 1)
    const answer = await alice.ok('addMembers', { convoId, didList: [bob.did, carol.did], commit })
    expect(answer).toEqual({ success: true, newEpoch: 2, seq: 1, logHash: aHash })
    const { messages } = await bob.ok('getMessages', { convoId })
    expect(messages).toMatchObject([{ epoch: 2, seq: 1, messageType: 'commit', ciphertext: commit }])
    expect(chainOf(convoId, messages)).toEqual([answer.logHash])
    const [convo] = (await carol.ok('getConvos')).conversations
    expect(convo!.members.map(({ did, role }) => [did, role])).toEqual([
      [alice.did, 'creator'],
      [bob.did, 'member'],
      [carol.did, 'member'],
    ])
    expect(convo!.epoch).toBe(2)
  })

  it('lets any member add and counts repeated DIDs once', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const did = newDid('carol')
    await bob.ok('addMembers', { convoId, didList: [did, did], commit: commitFor(convoId, 0) })
    const [convo] = (await alice.ok('getConvos')).conversations
    expect(convo!.members.map((member) => member.did)).toEqual([alice.did, bob.did, did])
  })

  it('takes additions without a commit in an untracked conversation: one epoch each, an entry without bytes', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice)
    const adds = ascending(10).map((i) => alice.ok('addMembers', { convoId, didList: [newDid(`m${i}`)] }))
    const answers = await Promise.all(adds)
    expect(answers.map(({ newEpoch }) => newEpoch).toSorted((a, b) => a - b)).toEqual(ascending(10))
    expect(answers.every(({ seq, newEpoch }) => seq === newEpoch)).toBe(true)
    const last = await alice.ok('addMembers', { convoId, didList: [bob.did] })
    expect(last).toEqual({ success: true, newEpoch: 11, seq: 11, logHash: aHash })
    const { messages } = await alice.ok('getMessages', { convoId, type: 'commit' })
    expect(messages.map(({ epoch }) => epoch)).toEqual(ascending(11))
    expect(messages.every(({ ciphertext }) => ciphertext.$bytes === '')).toBe(true)
    expect(chainOf(convoId, messages).at(-1)).toBe(last.logHash)
    expect((await alice.ok('getCommits', { convoId, fromEpoch: 0 })).commits).toEqual([])
  })

  it('requires a commit once the conversation is tracked', async () => {
    const [alice] = people('alice')
    const refuses = async (convoId: string) =>
      expectError(await alice.call('addMembers', { convoId, didList: [newDid('bob')] }), 'CommitRequired')
    await refuses(await createConvo(alice, { epoch: 0 }))
    await refuses(await createConvo(alice, { epoch: 1 }))
    const convoId = await createConvo(alice)
    await alice.ok('addMembers', { convoId, didList: [newDid('bob')] })
    await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 1) })
    await refuses(convoId)
  })

  it('takes an empty list with a commit alone', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const update = { convoId, didList: [], commit: commitFor(convoId, 0) }
    expect(await alice.ok('addMembers', update)).toMatchObject({ newEpoch: 1 })
    expectError(await alice.call('addMembers', { convoId, didList: [] }), 'InvalidRequest')
    const untracked = await createConvo(alice)
    expectError(await alice.call('addMembers', { convoId: untracked, didList: [] }), 'InvalidRequest')
  })

  it('lets the first commit of an untracked conversation set the base, downwards and up', async () => {
    const [alice] = people('alice')
    for (const base of [0, 2, 41, 2 ** 31 - 1]) {
      const convoId = await createConvo(alice)
      for (const i of ascending(3)) await alice.ok('addMembers', { convoId, didList: [newDid(`m${i}`)] })
      const commit = commitFor(convoId, base)
      expect(await alice.ok('addMembers', { convoId, didList: [], commit })).toMatchObject({
        newEpoch: base + 1,
        seq: 4,
      })
      expect((await alice.ok('getEpoch', { convoId })).currentEpoch).toBe(base + 1)
      const again = await alice.call('addMembers', { convoId, didList: [], commit: commitFor(convoId, base) })
      expectError(again, 'EpochMismatch', { serverEpoch: base + 1, expectedEpoch: base })
    }
  })

  it('names the real commit where an entry without bytes stands at the same epoch', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice)
    for (const i of ascending(3)) await alice.ok('addMembers', { convoId, didList: [newDid(`m${i}`)] })
    const first = commitFor(convoId, 1)
    for (const commit of [first, commitFor(convoId, 2), commitFor(convoId, 3)]) {
      await alice.ok('addMembers', { convoId, didList: [], commit })
    }
    const stale = (epoch: number) =>
      alice.call('addMembers', { convoId, didList: [], commit: commitFor(convoId, epoch) })
    expectError(await stale(1), 'EpochMismatch', {
      serverEpoch: 4,
      expectedEpoch: 1,
      winningCommit: { seq: 4, epoch: 2, sha256: sha256(bytesOf(first)) },
    })
    const beforeAll = await stale(0)
    expectError(beforeAll, 'EpochMismatch', { serverEpoch: 4, expectedEpoch: 0 })
    expect(beforeAll.body).not.toHaveProperty('winningCommit')
  })

  it('refuses a base of 2^31 or more', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice)
    const commit = commitFor(convoId, 2 ** 31)
    expectError(await alice.call('addMembers', { convoId, didList: [], commit }), 'InvalidCommit')
    expect((await alice.ok('getEpoch', { convoId })).currentEpoch).toBe(0)
  })

  it('does not let the first commit set a base where the creator gave an epoch', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 1 })
    for (const epoch of [0, 2]) {
      const commit = commitFor(convoId, epoch)
      const answer = await alice.call('addMembers', { convoId, didList: [], commit })
      expectError(answer, 'EpochMismatch', { serverEpoch: 1, expectedEpoch: epoch })
      expect(answer.body).not.toHaveProperty('winningCommit')
    }
  })

  it('names the commit that won, also when the loser is several epochs behind', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const winners = ascending(7, 0).map((epoch) => commitFor(convoId, epoch))
    const seqs: number[] = []
    for (const [epoch, commit] of winners.entries()) {
      await alice.ok('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })
      seqs.push((await alice.ok('addMembers', { convoId, didList: [], commit })).seq!)
    }
    for (const expectedEpoch of [6, 4, 0]) {
      const commit = commitFor(convoId, expectedEpoch)
      const answer = await bob.call('addMembers', { convoId, didList: [newDid('late')], commit })
      expectError(answer, 'EpochMismatch', {
        serverEpoch: 7,
        expectedEpoch,
        winningCommit: {
          seq: seqs[expectedEpoch],
          epoch: expectedEpoch + 1,
          sha256: sha256(bytesOf(winners[expectedEpoch]!)),
        },
      })
    }
    const ahead = await bob.call('addMembers', { convoId, didList: [], commit: commitFor(convoId, 8) })
    expectError(ahead, 'EpochMismatch', { serverEpoch: 7, expectedEpoch: 8 })
  })

  it('accepts exactly one of ten concurrent commits of one epoch and names it to the others', async () => {
    const callers = people(...ascending(10).map((i) => `m${i}`))
    const initialMembers = callers.slice(1).map(({ did }) => did)
    const convoId = await createConvo(callers[0]!, { initialMembers, epoch: 1 })
    const commits = callers.map(() => commitFor(convoId, 1))
    const answers = await Promise.all(
      callers.map((caller, i) =>
        caller.call('addMembers', { convoId, didList: [newDid('x')], commit: commits[i] }),
      ),
    )
    const won = answers.findIndex(({ status }) => status === 200)
    const winningCommit = { seq: 1, epoch: 2, sha256: sha256(bytesOf(commits[won]!)) }
    for (const [i, answer] of answers.entries()) {
      if (i !== won) expectError(answer, 'EpochMismatch', { serverEpoch: 2, expectedEpoch: 1, winningCommit })
    }
    const { messages } = await callers[0]!.ok('getMessages', { convoId })
    expect(messages.map(({ ciphertext }) => ciphertext)).toEqual([commits[won]])
    expect((await callers[0]!.ok('getConvos')).conversations[0]!.members.length).toBe(11)
  })

  it('stores nothing of a stale commit', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 1 })
    const before = await alice.ok('getEpoch', { convoId })
    const stale = { convoId, didList: [bob.did], commit: commitFor(convoId, 0), idempotencyKey: 'stale' }
    expectError(await alice.call('addMembers', stale), 'EpochMismatch')
    expect(await alice.ok('getEpoch', { convoId })).toEqual(before)
    expect((await alice.ok('getMessages', { convoId })).messages).toEqual([])
    const rows = await sql()`select kind from log where convo_id = ${convoId} and kind <> 'created'`
    expect(rows.length).toBe(0)
    const keys = await sql()`select key from idempotency where caller = ${alice.did}`
    expect(keys.length).toBe(0)
    expectError(await bob.call('getEpoch', { convoId }), 'ConvoNotFound')
  })

  it('calls everyone listed a member already only without a commit', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did] })
    const didList = [bob.did]
    expectError(await alice.call('addMembers', { convoId, didList }), 'AlreadyMember')
    expectError(await alice.call('addMembers', { convoId, didList: [alice.did] }), 'AlreadyMember')
    const carol = newDid('carol')
    await alice.ok('addMembers', { convoId, didList: [bob.did, carol] })
    const commit = commitFor(convoId, 1)
    expect(await alice.ok('addMembers', { convoId, didList, commit })).toMatchObject({ newEpoch: 2 })
    expect((await alice.ok('getConvos')).conversations[0]!.members.length).toBe(3)
  })

  it('takes 50 DIDs at once and MAX_MEMBERS in all', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const dids = ascending(61).map((i) => newDid(`m${i}`))
    const add = (epoch: number, from: number, to: number) =>
      alice.call('addMembers', { convoId, didList: dids.slice(from, to), commit: commitFor(convoId, epoch) })
    expectError(await add(0, 0, 51), 'TooManyMembers')
    expect((await add(0, 0, 50)).status).toBe(200)
    expectError(await add(1, 50, 60), 'TooManyMembers')
    expect((await add(1, 50, 59)).status).toBe(200)
    expectError(await add(2, 59, 60), 'TooManyMembers')
    expect((await add(2, 0, 50)).status).toBe(200)
  })

  it('adds a member again who has left', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    await bob.ok('leaveConvo', { convoId })
    expectError(await bob.call('addMembers', { convoId, didList: [bob.did] }), 'NotMember')
    await alice.ok('addMembers', { convoId, didList: [bob.did], commit: commitFor(convoId, 0) })
    expect((await bob.ok('getEpoch', { convoId })).currentEpoch).toBe(1)
  })

  it('answers the same again to the same key and content, and refuses other content', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice)
    const input = { convoId, didList: [newDid('bob')], idempotencyKey: 'key' }
    const first = await alice.ok('addMembers', input)
    expect(await alice.ok('addMembers', input)).toEqual(first)
    const other = { ...input, didList: [newDid('carol')] }
    expectError(await alice.call('addMembers', other), 'IdempotencyConflict')
    expect((await alice.ok('getEpoch', { convoId })).currentEpoch).toBe(1)
  })

  it('does not tell a stranger whether a conversation exists', async () => {
    const [alice, eve] = people('alice', 'eve')
    const convoId = await createConvo(alice)
    const unknown = await eve.call('addMembers', { convoId: 'ab'.repeat(16), didList: [eve.did] })
    const foreign = await eve.call('addMembers', { convoId, didList: [eve.did] })
    for (const answer of [unknown, foreign]) expectError(answer, 'ConvoNotFound')
    expect(foreign.body).toEqual(unknown.body)
  })
})
