import { describe, expect, it } from 'vitest'
import type { Caller } from '../support/caller.ts'
import type { ErrorBody } from '../support/client.ts'
import { addMembers, removeMember, updateKeys } from '../support/mls-changes.ts'
import type { MlsGroup } from '../support/mls-group.ts'
import { expectAgreement, mlsClients, SCENARIO_MODES, texts } from '../support/mls-scenario.ts'
import { useServer } from '../support/use-server.ts'

type Loss = {
  /** A client without idempotency keys has only winningCommit to go by. */
  hasKeys?: boolean
  /** What happens between the lost reply and the retry. */
  meanwhile?: () => Promise<unknown>
}

/** Lets the member's next write through but loses the reply to it. Answers whatever the server answered. */
function loseNextReply(group: MlsGroup, { hasKeys = true, meanwhile }: Loss = {}): ErrorBody[] {
  const { caller } = group
  const answers: ErrorBody[] = []
  const lossy: Caller = {
    did: caller.did,
    ok: (name, input) => caller.ok(name, input),
    async call(name, input = {}) {
      const { idempotencyKey, ...rest } = input
      const answer = await caller.call(name, hasKeys ? { ...rest, idempotencyKey } : rest)
      answers.push(answer.body)
      if (answers.length > 1) return answer
      await meanwhile?.()
      throw new TypeError('fetch failed')
    },
  }
  group.caller = lossy
  return answers
}

describe.each(SCENARIO_MODES)('lost replies, $name', ({ env }) => {
  const { newClient, startGroup } = mlsClients(useServer(env))

  it('a commit made again with its key gets the answer that was lost, and is stored once', async () => {
    const { groups } = await startGroup('alice', 'bob')
    const [alice] = groups
    const answers = loseNextReply(alice)
    expect((await updateKeys(alice)).refusals).toEqual([])
    expect(answers.length).toBe(2)
    expect(answers[1]).toEqual(answers[0])
    await expectAgreement(...groups)
    expect({ epoch: alice.epoch, seq: alice.seq }).toEqual({ epoch: 2, seq: 2 })
  })

  it('so it does when others have moved on meanwhile', async () => {
    const { groups } = await startGroup('alice', 'bob', 'carol')
    const [alice, bob, carol] = groups
    const meanwhile = async () => {
      await updateKeys(bob)
      await carol.send('one epoch further')
      await updateKeys(carol)
    }
    const answers = loseNextReply(alice, { meanwhile })
    expect((await updateKeys(alice)).refusals).toEqual([])
    expect(answers[1]).toEqual(answers[0])
    expect(alice.epoch).toBe(2)
    await expectAgreement(...groups)
    expect(alice.epoch).toBe(4)
  })

  it.each(['at once', 'when others have moved on'])(
    'without a key it finds by winningCommit that its commit won, %s',
    async (when) => {
      const { groups } = await startGroup('alice', 'bob')
      const [alice, bob] = groups
      const meanwhile = when === 'at once' ? undefined : () => updateKeys(bob)
      const answers = loseNextReply(alice, { hasKeys: false, meanwhile })
      expect((await updateKeys(alice)).refusals).toEqual([])
      const { commits } = await bob.caller.ok('getCommits', {
        convoId: bob.convoId,
        fromEpoch: 2,
        toEpoch: 2,
      })
      const { seq, epoch, sender } = commits[0]!
      expect(sender).toBe(alice.caller.did)
      expect(answers[1]).toMatchObject({ error: 'EpochMismatch', winningCommit: { seq, epoch } })
      await expectAgreement(...groups)
      expect(alice.epoch).toBe(meanwhile ? 3 : 2)
    },
  )

  it('a commit that another one beat while its reply was lost is made anew', async () => {
    const { groups } = await startGroup('alice', 'bob')
    const [alice, bob] = groups
    await updateKeys(bob)
    // The first try is refused, unseen by Alice; the second too.
    const answers = loseNextReply(alice)
    expect((await updateKeys(alice)).refusals.length).toBe(1)
    expect(answers.map(({ error }) => error)).toEqual(['EpochMismatch', 'EpochMismatch', undefined])
    await expectAgreement(...groups)
    expect(alice.epoch).toBe(3)
  })

  it('an invitation and a removal made again happen once', async () => {
    const { groups } = await startGroup('alice', 'bob')
    const [alice, bob] = groups
    const client = await newClient('carol')
    loseNextReply(alice)
    await addMembers(alice, [client.did])
    const carol = await client.join(alice.convoId)
    await expectAgreement(alice, bob, carol)
    loseNextReply(alice)
    await removeMember(alice, carol.caller.did)
    await expectAgreement(alice, bob)
    expect({ epoch: alice.epoch, seq: alice.seq }).toEqual({ epoch: 3, seq: 3 })
  })

  it('a message made again is stored once', async () => {
    const { groups } = await startGroup('alice', 'bob')
    const [alice, bob] = groups
    loseNextReply(alice, { meanwhile: () => updateKeys(bob) })
    await alice.send('once')
    const [, received] = await expectAgreement(alice, bob)
    expect(texts(received!)).toEqual(['once'])
  })
})
