import { describe, expect, it } from 'vitest'
import { wire } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { bytesOf, chainOf, sha256 } from '../support/log-chain.ts'
import { aHash } from '../support/matchers.ts'
import { base64, newDevice, welcomeFor } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

describe.each(MODES)('leaveConvo, $name', ({ env }) => {
  const { people, sql } = useServer(env)
  const membersOf = async (client: ReturnType<typeof people>[number], convoId: string) => {
    const { conversations } = await client.ok('getConvos')
    const { members, creator } = conversations.find(({ id }) => id === convoId)!
    return { creator, dids: members.map(({ did }) => did), roles: members.map(({ role }) => role) }
  }

  it('lets a member leave at once, without a commit, an entry or a new epoch', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    for (const input of [{ epoch: 1 }, {}]) {
      const convoId = await createConvo(alice, { initialMembers: [bob.did, carol.did], ...input })
      const before = await alice.ok('getEpoch', { convoId })
      const answer = await bob.ok('leaveConvo', { convoId })
      expect(answer).toEqual({ success: true, newEpoch: before.currentEpoch })
      expect(await carol.ok('leaveConvo', { convoId, targetDid: carol.did })).toEqual(answer)
      expect(await alice.ok('getEpoch', { convoId })).toEqual(before)
      expect((await membersOf(alice, convoId)).dids).toEqual([alice.did])
      expect((await bob.ok('getConvos')).conversations).toEqual([])
      expectError(await bob.call('getEpoch', { convoId }), 'NotMember')
      expectError(await bob.call('leaveConvo', { convoId }), 'NotMember')
    }
  })

  it('refuses a commit from the one who leaves, the creator too', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    for (const caller of [alice, bob]) {
      const commit = commitFor(convoId, 0)
      expectError(await caller.call('leaveConvo', { convoId, commit }), 'InvalidCommit')
      const named = { convoId, commit, targetDid: caller.did }
      expectError(await caller.call('leaveConvo', named), 'InvalidCommit')
    }
    expect((await membersOf(alice, convoId)).dids).toEqual([alice.did, bob.did])
  })

  it('lets the creator remove a present member with a commit', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const commit = commitFor(convoId, 0)
    const answer = await alice.ok('leaveConvo', { convoId, targetDid: bob.did, commit })
    expect(answer).toEqual({ success: true, newEpoch: 1, seq: 1, logHash: aHash })
    const { messages } = await alice.ok('getMessages', { convoId })
    expect(messages).toMatchObject([{ messageType: 'commit', epoch: 1, ciphertext: commit }])
    expect(chainOf(convoId, messages)).toEqual([answer.logHash])
    expectError(await bob.call('getEpoch', { convoId }), 'NotMember')
  })

  it('lets the creator remove without a commit in an untracked conversation alone', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const convoId = await createConvo(alice, { initialMembers: [bob.did, carol.did] })
    const answer = await alice.ok('leaveConvo', { convoId, targetDid: bob.did })
    expect(answer).toEqual({ success: true, newEpoch: 1, seq: 1, logHash: aHash })
    const { messages } = await alice.ok('getMessages', { convoId })
    expect(messages).toMatchObject([{ messageType: 'commit', epoch: 1, ciphertext: { $bytes: '' } }])
    expect(chainOf(convoId, messages)).toEqual([answer.logHash])
    await alice.ok('leaveConvo', { convoId, targetDid: carol.did, commit: commitFor(convoId, 1) })
    const again = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    expectError(await alice.call('leaveConvo', { convoId: again, targetDid: bob.did }), 'CommitRequired')
  })

  it('lets nobody but the creator remove a present member', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    for (const input of [{ epoch: 0 }, {}]) {
      const initialMembers = [bob.did, carol.did]
      const convoId = await createConvo(alice, { initialMembers, ...input })
      for (const targetDid of [carol.did, alice.did]) {
        const commit = commitFor(convoId, 0)
        expectError(await bob.call('leaveConvo', { convoId, targetDid, commit }), 'Forbidden')
        expectError(await bob.call('leaveConvo', { convoId, targetDid }), 'Forbidden')
      }
      expect((await membersOf(alice, convoId)).dids.length).toBe(3)
    }
  })

  it('lets any member commit the removal of one who has left', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const convoId = await createConvo(alice, { initialMembers: [bob.did, carol.did], epoch: 1 })
    await carol.ok('leaveConvo', { convoId })
    const commit = commitFor(convoId, 1)
    const without = await bob.call('leaveConvo', { convoId, targetDid: carol.did })
    expectError(without, 'NotMember')
    expect(await bob.ok('leaveConvo', { convoId, targetDid: carol.did, commit })).toMatchObject({
      newEpoch: 2,
    })
    expect((await bob.ok('getCommits', { convoId, fromEpoch: 0 })).commits).toMatchObject([
      { epoch: 2, sender: bob.did, commitData: commit },
    ])
    expectError(await carol.call('getEpoch', { convoId }), 'NotMember')
  })

  it('calls a target that never was a member NotMember', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const input = { convoId, targetDid: newDid('eve'), commit: commitFor(convoId, 0) }
    for (const caller of [alice, bob]) expectError(await caller.call('leaveConvo', input), 'NotMember')
    const malformed = await alice.call('leaveConvo', { ...input, targetDid: 'eve' })
    expectError(malformed, 'InvalidRequest')
  })

  it('hands the role of a leaving creator to the longest-standing member', async () => {
    const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
    const initialMembers = [bob.did, carol.did]
    const convoId = await createConvo(alice, { initialMembers, epoch: 0 })
    await bob.ok('leaveConvo', { convoId })
    const didList = [bob.did, dave.did]
    await alice.ok('addMembers', { convoId, didList, commit: commitFor(convoId, 0) })
    await alice.ok('leaveConvo', { convoId })
    expect(await membersOf(bob, convoId)).toEqual({
      creator: carol.did,
      dids: [carol.did, bob.did, dave.did],
      roles: ['creator', 'member', 'member'],
    })
    const removal = { convoId, targetDid: dave.did, commit: commitFor(convoId, 1) }
    expectError(await bob.call('leaveConvo', removal), 'Forbidden')
    await carol.ok('leaveConvo', removal)
  })

  it('keeps the last member, also when the last two leave at once', async () => {
    const [alice, bob] = people('alice', 'bob')
    const alone = await createConvo(alice)
    expectError(await alice.call('leaveConvo', { convoId: alone }), 'LastMember')
    const convoId = await createConvo(alice, { initialMembers: [bob.did] })
    const answers = await Promise.all([alice, bob].map((one) => one.call('leaveConvo', { convoId })))
    expect(answers.filter(({ status }) => status === 200).length).toBe(1)
    expectError(answers.find(({ status }) => status !== 200)!, 'LastMember')
    const rows = await sql()`select did from members where convo_id = ${convoId} and left_n is null`
    expect(rows.length).toBe(1)
  })

  it('refuses a stale removal, names the winner and removes nobody', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const winner = commitFor(convoId, 0)
    await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    await bob.ok('addMembers', { convoId, didList: [], commit: winner })
    await bob.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 1) })
    const removal = { convoId, targetDid: bob.did, commit: commitFor(convoId, 0) }
    expectError(await alice.call('leaveConvo', removal), 'EpochMismatch', {
      serverEpoch: 2,
      expectedEpoch: 0,
      winningCommit: { seq: 2, epoch: 1, sha256: sha256(bytesOf(winner)) },
    })
    expect((await membersOf(bob, convoId)).dids).toEqual([alice.did, bob.did])
  })

  it('refuses commits that are of no form, of another group or too large', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const remove = (commit: unknown) => alice.call('leaveConvo', { convoId, targetDid: bob.did, commit })
    expectError(await remove(commitFor(newGroupId(), 0)), 'InvalidCommit')
    expectError(await remove(messageFor(convoId, 0)), 'InvalidCommit')
    expectError(await remove(wire(Buffer.alloc(50, 1))), 'InvalidCommit')
    expectError(await remove(wire(Buffer.alloc(10 * 2 ** 20 + 1))), 'MessageTooLarge')
    expect((await membersOf(alice, convoId)).dids.length).toBe(2)
  })

  it('withdraws the Welcome of who leaves or is removed, also when added again', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const initialMembers = [bob.did, carol.did]
    const welcomeMessage = base64(await welcomeFor(await newDevice(bob.did), await newDevice(carol.did)))
    const convoId = await createConvo(alice, { initialMembers, welcomeMessage, epoch: 0 })
    for (const one of [bob, carol]) await one.ok('getWelcome', { convoId })
    await bob.ok('leaveConvo', { convoId })
    await alice.ok('leaveConvo', { convoId, targetDid: carol.did, commit: commitFor(convoId, 0) })
    for (const one of [bob, carol]) expectError(await one.call('getWelcome', { convoId }), 'NotMember')
    await alice.ok('addMembers', { convoId, didList: initialMembers, commit: commitFor(convoId, 1) })
    for (const one of [bob, carol]) expectError(await one.call('getWelcome', { convoId }), 'WelcomeNotFound')
  })

  it('does not tell a stranger whether a conversation exists', async () => {
    const [alice, eve] = people('alice', 'eve')
    const convoId = await createConvo(alice)
    const foreign = await eve.call('leaveConvo', { convoId })
    expectError(foreign, 'ConvoNotFound')
    expect((await eve.call('leaveConvo', { convoId: newGroupId() })).body).toEqual(foreign.body)
  })

  it('answers the same again to the same key and content, and refuses other content', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const convoId = await createConvo(alice, { initialMembers: [bob.did, carol.did], epoch: 0 })
    const input = { convoId, targetDid: bob.did, commit: commitFor(convoId, 0), idempotencyKey: 'k' }
    const first = await alice.ok('leaveConvo', input)
    expect(await alice.ok('leaveConvo', input)).toEqual(first)
    const other = await alice.call('leaveConvo', { ...input, targetDid: carol.did })
    expectError(other, 'IdempotencyConflict')
    const leaving = { convoId, idempotencyKey: 'k' }
    expect(await carol.ok('leaveConvo', leaving)).toEqual(await carol.ok('leaveConvo', leaving))
  })
})
