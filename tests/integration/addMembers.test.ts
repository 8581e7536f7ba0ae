import { describe, expect, it } from 'vitest'
import { commitFor, createConvo } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { chainOf } from '../support/log-chain.ts'
import { aHash, ascending } from '../support/matchers.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

describe.each(MODES)('addMembers, $name', ({ env }) => {
  const { people } = useServer({ ...env, MAX_MEMBERS: '60' })

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
