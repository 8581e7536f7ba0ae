import { describe, expect, it } from 'vitest'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { bytesOf, chainOf, chainStart, sha256 } from '../support/log-chain.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

describe('getEpoch', () => {
  const { people } = useServer(MODES[0].env)

  it('answers the epoch, the head of the log and the last commit', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 1 })
    expect(await bob.ok('getEpoch', { convoId })).toEqual({
      convoId,
      currentEpoch: 1,
      lastSeq: 0,
      logHash: chainStart(convoId),
    })
    const commit = commitFor(convoId, 1)
    await alice.ok('addMembers', { convoId, didList: [], commit })
    const lastCommit = { seq: 1, epoch: 2, sha256: sha256(bytesOf(commit)) }
    for (const lastSeq of [1, 2, 3]) {
      const { messages } = await bob.ok('getMessages', { convoId, sinceSeq: 0 })
      expect(await bob.ok('getEpoch', { convoId })).toEqual({
        convoId,
        currentEpoch: 2,
        lastSeq,
        logHash: chainOf(convoId, messages).at(-1),
        lastCommit,
      })
      await bob.ok('sendMessage', { convoId, epoch: 2, ciphertext: messageFor(convoId, 2) })
    }
  })

  it('follows each executed command at once', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice)
    for (const epoch of [1, 2, 3]) {
      const { logHash } = await alice.ok('addMembers', { convoId, didList: [newDid('m')] })
      expect(await alice.ok('getEpoch', { convoId })).toMatchObject({
        currentEpoch: epoch,
        lastSeq: epoch,
        logHash,
      })
    }
  })

  it('is for members alone', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const convoId = await createConvo(alice, { initialMembers: [bob.did] })
    await bob.ok('leaveConvo', { convoId })
    expectError(await bob.call('getEpoch', { convoId }), 'NotMember')
    for (const id of [convoId, newGroupId()]) {
      expectError(await eve.call('getEpoch', { convoId: id }), 'ConvoNotFound')
    }
    expectError(await alice.call('getEpoch', {}), 'InvalidRequest')
  })
})
