import { describe, expect, it } from 'vitest'
import { newGroupId, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { ascending, aTime } from '../support/matchers.ts'
import { base64, publishDevice, welcomeFor } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

const SUITES = [
  'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519',
  'MLS_128_DHKEMP256_AES128GCM_SHA256_P256',
  'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519',
  'MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448',
  'MLS_256_DHKEMP521_AES256GCM_SHA512_P521',
  'MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448',
]

describe.each(MODES)('createConvo, $name', ({ env }) => {
  const { people } = useServer(env)
  const fresh = (input: Record<string, unknown> = {}) => ({
    groupId: newGroupId(),
    cipherSuite: SUITE,
    ...input,
  })

  it('answers the whole view: creator first, the caller and duplicates among the members dropped', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const metadata = { name: 'Cats', description: 'All about them' }
    const initialMembers = [bob.did, alice.did, carol.did, bob.did]
    const input = fresh({ initialMembers, metadata })
    const view = await alice.ok('createConvo', input)
    expect(view).toEqual({
      id: input.groupId,
      groupId: input.groupId,
      creator: alice.did,
      members: [
        { did: alice.did, joinedAt: view.createdAt, role: 'creator' },
        { did: bob.did, joinedAt: view.createdAt, role: 'member' },
        { did: carol.did, joinedAt: view.createdAt, role: 'member' },
      ],
      epoch: 0,
      cipherSuite: SUITE,
      createdAt: aTime,
      metadata,
      unreadCount: 0,
      lastSeq: 0,
    })
    for (const member of [alice, bob, carol]) {
      expect((await member.ok('getConvos')).conversations).toEqual([view])
    }
  })

  it('leaves absent metadata out and takes either of its fields alone', async () => {
    const [alice] = people('alice')
    expect(await alice.ok('createConvo', fresh())).not.toHaveProperty('metadata')
    const { metadata } = await alice.ok('createConvo', fresh({ metadata: { name: 'n' } }))
    expect(metadata).toEqual({ name: 'n' })
  })

  it('starts at the epoch given, else at 1 with a Welcome for members, else at 0', async () => {
    const [alice, bob] = people('alice', 'bob')
    const initialMembers = [bob.did]
    const welcomeMessage = base64(await welcomeFor(await publishDevice(bob)))
    const epochOf = async (input: object) => (await alice.ok('createConvo', fresh({ ...input }))).epoch
    expect(await epochOf({})).toBe(0)
    expect(await epochOf({ initialMembers })).toBe(0)
    expect(await epochOf({ welcomeMessage })).toBe(0)
    expect(await epochOf({ initialMembers: [alice.did], welcomeMessage })).toBe(0)
    expect(await epochOf({ initialMembers, welcomeMessage })).toBe(1)
    for (const epoch of [0, 1]) {
      expect(await epochOf({ epoch })).toBe(epoch)
      expect(await epochOf({ epoch, initialMembers, welcomeMessage })).toBe(epoch)
    }
    for (const epoch of [2, -1, 0.5, '0', null]) {
      expectError(await alice.call('createConvo', fresh({ epoch })), 'InvalidRequest')
    }
  })

  it('accepts every cipher suite by name and refuses any other', async () => {
    const [alice] = people('alice')
    for (const cipherSuite of SUITES) {
      expect(await alice.ok('createConvo', fresh({ cipherSuite }))).toMatchObject({ cipherSuite })
    }
    for (const cipherSuite of ['MLS_NULL', '1', '', 'toString']) {
      expectError(await alice.call('createConvo', fresh({ cipherSuite })), 'InvalidCipherSuite')
    }
  })

  it('takes a group id of up to 128 lower-case hex digits and nothing else', async () => {
    const [alice] = people('alice')
    const groupId = newGroupId().repeat(4)
    expect(await alice.ok('createConvo', fresh({ groupId }))).toMatchObject({ id: groupId, groupId })
    for (const bad of ['', 'ABCDEF', 'xyz', `${groupId}00`, ' ab', 'ab\n', 7]) {
      expectError(await alice.call('createConvo', fresh({ groupId: bad })), 'InvalidRequest')
    }
    expectError(await alice.call('createConvo', { cipherSuite: SUITE }), 'InvalidRequest')
    expectError(await alice.call('createConvo', { groupId: newGroupId() }), 'InvalidRequest')
  })

  it('refuses a taken group id to anyone, also when ten ask at once', async () => {
    const input = fresh()
    const callers = people(...ascending(10).map((i) => `racer${i}`))
    const answers = await Promise.all(callers.map((caller) => caller.call('createConvo', input)))
    expect(answers.filter(({ status }) => status === 200).length).toBe(1)
    for (const answer of answers) if (answer.status !== 200) expectError(answer, 'GroupIdTaken')
    const winner = callers[answers.findIndex(({ status }) => status === 200)]!
    expectError(await winner.call('createConvo', input), 'GroupIdTaken')
    for (const caller of callers) {
      expect((await caller.ok('getConvos')).conversations.length).toBe(caller === winner ? 1 : 0)
    }
  })

  it('takes 100 members and refuses 101', async () => {
    const [alice] = people('alice')
    const dids = ascending(101).map((i) => newDid(`m${i}`))
    const view = await alice.ok('createConvo', fresh({ initialMembers: dids.slice(1) }))
    expect(view.members.map(({ did }) => did)).toEqual([alice.did, ...dids.slice(1)])
    expectError(await alice.call('createConvo', fresh({ initialMembers: dids })), 'TooManyMembers')
  })

  it('refuses malformed members and metadata over their limits', async () => {
    const [alice] = people('alice')
    const refuses = async (input: object) =>
      expectError(await alice.call('createConvo', fresh({ ...input })), 'InvalidRequest')
    await refuses({ initialMembers: ['bob'] })
    await refuses({ initialMembers: 'did:plc:bob' })
    await refuses({ metadata: { name: 'n'.repeat(129) } })
    await refuses({ metadata: { description: 'd'.repeat(513) } })
    await refuses({ idempotencyKey: 'k'.repeat(129) })
    const metadata = { name: 'n'.repeat(128), description: 'd'.repeat(512) }
    const idempotencyKey = 'k'.repeat(128)
    expect(await alice.ok('createConvo', fresh({ metadata, idempotencyKey }))).toMatchObject({ metadata })
  })

  it('answers the same again to the same key and content, and refuses other content', async () => {
    const [alice] = people('alice')
    const input = fresh({ idempotencyKey: 'first' })
    const first = await alice.ok('createConvo', input)
    expect(await alice.ok('createConvo', input)).toEqual(first)
    const other = await alice.call('createConvo', { ...input, metadata: { name: 'other' } })
    expectError(other, 'IdempotencyConflict')
  })
})
