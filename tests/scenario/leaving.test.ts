import { describe, expect, it } from 'vitest'
import { expectError } from '../support/expect-error.ts'
import { bytesOf } from '../support/log-chain.ts'
import { finishLeaves, leave, memberDids, removeMember, updateKeys } from '../support/mls-changes.ts'
import type { MlsGroup } from '../support/mls-group.ts'
import { expectAgreement, mlsClients, SCENARIO_MODES, texts } from '../support/mls-scenario.ts'
import { useServer } from '../support/use-server.ts'

describe.each(SCENARIO_MODES)('leaving, $name', ({ env }) => {
  const { startGroup } = mlsClients(useServer(env))

  it.each(['private', 'public'])(
    'one removed with a %s commit reads and decrypts nothing more',
    async (kind) => {
      const { groups } = await startGroup('alice', 'bob', 'carol')
      const [alice, bob, carol] = groups
      alice.sendsPublicCommits = kind === 'public'
      await alice.send('with Carol')
      await removeMember(alice, carol.caller.did)
      expect(await memberDids(alice)).toEqual([alice.caller.did, bob.caller.did])
      await bob.send('without Carol')
      await expectAgreement(alice, bob)

      expect(texts(await carol.sync())).toEqual(['with Carol'])
      expect({ seq: carol.seq, isRemoved: carol.isRemoved }).toEqual({ seq: 3, isRemoved: true })
      await expectShutOut(carol)
      expect(carol.epochAuthenticator).not.toBe(alice.epochAuthenticator)
      // Even with the bytes from somebody else her keys do not fit.
      const { messages } = await alice.caller.ok('getMessages', { convoId: alice.convoId, limit: 1 })
      await expect(carol.decrypt(bytesOf(messages[0]!.ciphertext))).rejects.toThrow()
      await expect(carol.send('still here')).rejects.toThrow()
    },
  )

  it('one who leaves is out at once, and a commit of another member ends its MLS membership', async () => {
    const { groups } = await startGroup('alice', 'bob', 'carol')
    const [alice, bob, carol] = groups
    await carol.sync()
    const authenticator = carol.epochAuthenticator
    await leave(carol)
    await alice.send('Carol is out, but still has the keys')
    expect(alice.members).toContain(carol.caller.did)
    await finishLeaves(bob)
    await bob.send('now she has not')
    await expectAgreement(alice, bob)
    expect(alice.epoch).toBe(2)
    expect(alice.members).not.toContain(carol.caller.did)

    expect(await carol.sync()).toEqual([])
    expect(carol.epochAuthenticator).toBe(authenticator)
    await expectShutOut(carol)
    const { messages } = await alice.caller.ok('getMessages', { convoId: alice.convoId, limit: 1 })
    await expect(carol.decrypt(bytesOf(messages[0]!.ciphertext))).rejects.toThrow()
  })

  it('any commit may end the MLS membership of who left; the creator leaving hands its role on', async () => {
    const { groups } = await startGroup('alice', 'bob', 'carol')
    const [alice, bob, carol] = groups
    await leave(alice)
    await updateKeys(carol)
    await removeMember(carol, alice.caller.did)
    await expectAgreement(bob, carol)
    // Bob has been there longest, so that he may remove now.
    await removeMember(bob, carol.caller.did)
    await carol.sync()
    expect(carol.isRemoved).toBe(true)
    await expectAgreement(bob)
    const { status, body } = await bob.caller.call('leaveConvo', { convoId: bob.convoId })
    expect({ status, error: body.error }).toEqual({ status: 409, error: 'LastMember' })
  })
})

/** A former member reads its own interval and no further, and does nothing else. */
async function expectShutOut({ caller, convoId, seq }: MlsGroup): Promise<void> {
  expect((await caller.ok('getMessages', { convoId, sinceSeq: seq })).messages).toEqual([])
  expect(await caller.ok('getMessages', { convoId, limit: 1 })).toMatchObject({
    messages: [{ seq }],
    lastSeq: seq,
  })
  expectError(await caller.call('getEpoch', { convoId }), 'NotMember')
  expectError(await caller.call('getWelcome', { convoId }), 'NotMember')
  const { conversations } = await caller.ok('getConvos')
  expect(conversations).toEqual([])
}
