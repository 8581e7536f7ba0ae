import { describe, expect, it } from 'vitest'
import { wire } from '../support/client.ts'
import { newGroupId, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { base64, publishDevice, welcomeFor } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

describe.each(MODES)('createConvo: key packages and Welcomes, $name', ({ env }) => {
  const { people, sql } = useServer(env)
  const fresh = (input: Record<string, unknown> = {}) => ({
    groupId: newGroupId(),
    cipherSuite: SUITE,
    ...input,
  })

  it('consumes the named key packages and keeps the Welcome for each', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const [phone, laptop] = [await publishDevice(bob), await publishDevice(bob, { device: 'laptop' })]
    const welcome = await welcomeFor(phone, laptop)
    const keyPackageHashes = [phone.hash, laptop.ref].map((hash) => ({ did: bob.did, hash }))
    const initialMembers = [bob.did, carol.did]
    const input = fresh({ initialMembers, welcomeMessage: base64(welcome), keyPackageHashes })
    const { id: convoId } = await alice.ok('createConvo', input)
    for (const { hash } of [phone, laptop]) {
      const answer = await bob.ok('getWelcome', { convoId, keyPackageHash: hash })
      expect(answer).toEqual({ convoId, welcome: base64(welcome), keyPackageHash: hash })
    }
    expect(await carol.ok('getWelcome', { convoId })).toEqual({ convoId, welcome: base64(welcome) })
    expect((await alice.ok('getKeyPackages', { dids: [bob.did] })).missing).toEqual([bob.did])
  })

  it('refuses key packages that are unknown, of another DID or consumed, and names them all', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const [used, good] = [await publishDevice(bob), await publishDevice(bob)]
    const naming = (...keyPackageHashes: object[]) =>
      fresh({ initialMembers: [bob.did, carol.did], keyPackageHashes })
    await alice.ok('createConvo', naming({ did: bob.did, hash: used.hash }))
    const missing = [
      { did: bob.did, hash: used.hash },
      { did: carol.did, hash: good.hash },
      { did: bob.did, hash: 'ab'.repeat(32) },
    ]
    const answer = await alice.call('createConvo', naming({ did: bob.did, hash: good.hash }, ...missing))
    expectError(answer, 'KeyPackageNotFound', { missing })
    const [row] = await sql()`select consumed_by from key_packages where hash = ${good.hash}`
    expect(row).toEqual({ consumed_by: null })
  })

  it('names key packages of the members alone: nobody uses up those of others', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const [own, theirs] = [await publishDevice(alice), await publishDevice(carol)]
    const welcomeMessage = base64(await welcomeFor(theirs))
    const invite = (did: string, hash: string) =>
      fresh({ initialMembers: [bob.did], welcomeMessage, keyPackageHashes: [{ did, hash }] })
    const answer = await alice.call('createConvo', invite(carol.did, theirs.hash))
    expectError(answer, 'InvalidRequest')
    const [row] = await sql()`select consumed_by from key_packages where hash = ${theirs.hash}`
    expect(row).toEqual({ consumed_by: null })
    const further = invite(alice.did, own.hash)
    expect((await alice.call('createConvo', { ...further, welcomeMessage: undefined })).status).toBe(200)
  })

  it('leaves key packages alone when it refuses', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { hash } = await publishDevice(bob)
    const { id: groupId } = await alice.ok('createConvo', fresh())
    const keyPackageHashes = [{ did: bob.did, hash }]
    const input = fresh({ initialMembers: [bob.did], keyPackageHashes })
    expectError(await alice.call('createConvo', { ...input, groupId }), 'GroupIdTaken')
    await alice.ok('createConvo', input)
  })

  it('refuses a Welcome that is not base64, and one that cannot be read', async () => {
    const [alice, bob] = people('alice', 'bob')
    for (const welcomeMessage of ['not base64!', base64(Buffer.alloc(99, 7))]) {
      const input = fresh({ initialMembers: [bob.did], welcomeMessage })
      expectError(await alice.call('createConvo', input), 'InvalidWelcome')
    }
  })

  it('refuses a Welcome that addresses none or others than the named key packages', async () => {
    const [alice, bob] = people('alice', 'bob')
    const [named, other] = [await publishDevice(bob), await publishDevice(bob)]
    const keyPackageHashes = [{ did: bob.did, hash: named.hash }]
    const answerTo = async (...addressed: (typeof named)[]) => {
      const welcomeMessage = base64(await welcomeFor(...addressed))
      return alice.call('createConvo', fresh({ initialMembers: [bob.did], welcomeMessage, keyPackageHashes }))
    }
    expectError(await answerTo(other), 'InvalidWelcome')
    expectError(await answerTo(named, other), 'InvalidWelcome')
    expect((await answerTo(named)).status).toBe(200)
  })

  it('takes a Welcome bare, wrapped and in both byte forms, and refuses one over 10 MiB', async () => {
    const [alice, bob] = people('alice', 'bob')
    const wrapped = await welcomeFor(await publishDevice(bob))
    for (const bytes of [wrapped, wrapped.subarray(4)]) {
      for (const welcomeMessage of [base64(bytes), wire(bytes)]) {
        const input = fresh({ initialMembers: [bob.did], welcomeMessage })
        const { id: convoId } = await alice.ok('createConvo', input)
        expect((await bob.ok('getWelcome', { convoId })).welcome).toBe(base64(bytes))
      }
    }
    const welcomeMessage = base64(new Uint8Array(10 * 2 ** 20 + 1))
    const tooLarge = fresh({ initialMembers: [bob.did], welcomeMessage })
    expectError(await alice.call('createConvo', tooLarge), 'MessageTooLarge')
  })
})
