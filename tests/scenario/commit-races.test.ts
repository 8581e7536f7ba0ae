import { describe, expect, it } from 'vitest'
import { addMembers, finishLeaves, leave, removeMember, updateKeys } from '../support/mls-changes.ts'
import type { MlsGroup } from '../support/mls-group.ts'
import { expectAgreement, mlsClients, SCENARIO_MODES, texts } from '../support/mls-scenario.ts'
import { useServer } from '../support/use-server.ts'

const ROUNDS = 3
const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace', 'heidi'] as const

describe.each(SCENARIO_MODES)('commit races, $name', ({ env }) => {
  const { newClient, startGroup } = mlsClients(useServer(env))

  it.each([
    { kind: 'private', count: 0 },
    { kind: 'public', count: NAMES.length },
    { kind: 'private and public', count: NAMES.length / 2 },
  ])(
    'eight members commit at once, round after round, with $kind commits: every loser recovers',
    async ({ count }) => {
      const { groups } = await startGroup(...NAMES)
      for (const group of groups.slice(0, count)) group.sendsPublicCommits = true
      for (let round = 1; round <= ROUNDS; round++) {
        const outcomes = await Promise.all(groups.map(updateKeys))
        // All started from one epoch, so that one won at once and each other lost at least once.
        expect(outcomes.filter(({ refusals }) => refusals.length === 0).length).toBe(1)
        await expectAgreement(...groups)
        expect(groups[0].epoch).toBe(1 + round * groups.length)
      }
    },
  )

  it('members commit and write at once: everyone reads every message once, in one order', async () => {
    const { groups } = await startGroup('alice', 'bob', 'carol', 'dave')
    const talk = async (group: MlsGroup, name: string) => {
      for (let i = 1; i <= 5; i++) {
        await group.send(`${name} ${i}`)
        if (i % 2 === 0) await updateKeys(group)
      }
    }
    await Promise.all(groups.map((group, index) => talk(group, NAMES[index]!)))
    const [first, ...others] = (await expectAgreement(...groups)).map(texts)
    expect(new Set(first).size).toBe(20)
    for (const other of others) expect(other).toEqual(first)
  })

  it('two members add the same newcomer at once: one commit, one Welcome, one leaf', async () => {
    const { groups } = await startGroup('alice', 'bob')
    const [alice, bob] = groups
    const client = await newClient('carol')
    // Each gets a package of its own: one is reserved for whoever asked first.
    await client.publishKeyPackage()
    await Promise.all([addMembers(alice, [client.did]), addMembers(bob, [client.did])])
    const carol = await client.join(alice.convoId)
    await expectAgreement(alice, bob, carol)
    expect(alice.epoch).toBe(2)
    expect(alice.members.length).toBe(3)
  })

  it('an addition, a removal and key updates at once all take effect', async () => {
    const { groups } = await startGroup('alice', 'bob', 'carol', 'dave')
    const [alice, bob, carol, dave] = groups
    const client = await newClient('erin')
    await Promise.all([
      removeMember(alice, dave.caller.did),
      addMembers(bob, [client.did]),
      updateKeys(carol),
    ])
    const erin = await client.join(alice.convoId)
    await expectAgreement(alice, bob, carol, erin)
    await dave.sync()
    expect(dave.isRemoved).toBe(true)
    expect(alice.members.toSorted()).toEqual(
      [alice, bob, carol, erin].map(({ caller }) => caller.did).toSorted(),
    )
  })

  it('all remaining members commit the removal of one who left: one commit does it', async () => {
    const { groups } = await startGroup('alice', 'bob', 'carol', 'dave')
    const [alice, ...others] = groups
    await leave(alice)
    await Promise.all(others.map(finishLeaves))
    await expectAgreement(...others)
    expect(others[0].epoch).toBe(2)
    expect(others[0].members).not.toContain(alice.caller.did)
  })
})
