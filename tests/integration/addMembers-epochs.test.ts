import { describe, expect, it } from 'vitest'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { bytesOf, sha256 } from '../support/log-chain.ts'
import { ascending } from '../support/matchers.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

describe.each(MODES)('addMembers: epochs, $name', ({ env }) => {
  const { people, sql } = useServer(env)

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
})
