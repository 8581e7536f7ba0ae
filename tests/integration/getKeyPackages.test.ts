import { createTestClient } from '@catbird/shared/mls/test-key-packages'
import { defaultLifetime } from 'ts-mls'
import { describe, expect, it } from 'vitest'
import { createConvo, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { ascending } from '../support/matchers.ts'
import { base64, type Device, publishDevice } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

const P256 = 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256'

describe('getKeyPackages', () => {
  const { people, sql } = useServer(MODES[0].env)
  const publishMany = async (client: Parameters<typeof publishDevice>[0], count: number) => {
    const devices: Device[] = []
    for (let i = 0; i < count; i++) devices.push(await publishDevice(client))
    return devices
  }

  it('answers each package with its DID, suite and hash, and lists who has none', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const [device] = await publishMany(bob, 1)
    expect(await alice.ok('getKeyPackages', { dids: [carol.did, bob.did, bob.did] })).toEqual({
      keyPackages: [
        {
          did: bob.did,
          keyPackage: base64(device!.bytes),
          cipherSuite: SUITE,
          keyPackageHash: device!.hash,
        },
      ],
      missing: [carol.did],
    })
  })

  it('hands out the oldest first, the same one to the same caller, and none to two', async () => {
    const [bob] = people('bob')
    const devices = await publishMany(bob, 3)
    for (const device of devices) {
      const [caller] = people('caller')
      for (const _ of ascending(2)) {
        const { keyPackages } = await caller.ok('getKeyPackages', { dids: [bob.did] })
        expect(keyPackages.map(({ keyPackageHash }) => keyPackageHash)).toEqual([device.hash])
      }
    }
    const [late] = people('late')
    const answer = await late.ok('getKeyPackages', { dids: [bob.did] })
    expect(answer).toEqual({ keyPackages: [], missing: [bob.did] })
  })

  it('never hands one to two of 20 callers at once', async () => {
    const [bob] = people('bob')
    await publishMany(bob, 15)
    const callers = people(...ascending(20).map((i) => `c${i}`))
    const answers = await Promise.all(callers.map((one) => one.ok('getKeyPackages', { dids: [bob.did] })))
    const hashes = answers.flatMap(({ keyPackages }) => keyPackages.map((one) => one.keyPackageHash))
    expect(new Set(hashes).size).toBe(hashes.length)
    expect(hashes.length).toBe(15)
    expect(answers.filter(({ missing }) => missing?.includes(bob.did)).length).toBe(5)
  })

  it('gives one caller that asks ten times at once one package', async () => {
    const [alice, bob] = people('alice', 'bob')
    await publishMany(bob, 5)
    const answers = await Promise.all(
      ascending(10).map(() => alice.ok('getKeyPackages', { dids: [bob.did] })),
    )
    const hashes = answers.flatMap(({ keyPackages }) => keyPackages.map((one) => one.keyPackageHash))
    expect(hashes.length).toBe(10)
    expect(new Set(hashes).size).toBe(1)
  })

  it('reserves for ten minutes', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const [device] = await publishMany(bob, 1)
    const ask = async (client: typeof alice) =>
      (await client.ok('getKeyPackages', { dids: [bob.did] })).keyPackages.map((one) => one.keyPackageHash)
    expect(await ask(alice)).toEqual([device!.hash])
    const [row] = await sql()`select reserved_until from key_packages where hash = ${device!.hash}`
    expect(Math.abs(row!.reserved_until.getTime() - Date.now() - 600_000)).toBeLessThan(30_000)
    expect(await ask(carol)).toEqual([])
    await sql()`update key_packages set reserved_until = now() - interval '1 s' where hash = ${device!.hash}`
    expect(await ask(carol)).toEqual([device!.hash])
    expect(await ask(alice)).toEqual([])
  })

  it('answers one package for each device of a DID', async () => {
    const [alice, bob] = people('alice', 'bob')
    const own = await publishMany(bob, 2)
    const phone = [
      await publishDevice(bob, { device: 'phone' }),
      await publishDevice(bob, { device: 'phone' }),
    ]
    const laptop = await publishDevice(bob, { device: 'laptop' })
    const { keyPackages, missing } = await alice.ok('getKeyPackages', { dids: [bob.did] })
    const expected = [own[0]!, phone[0]!, laptop].map(({ hash }) => hash)
    expect(keyPackages.map((one) => one.keyPackageHash!).toSorted()).toEqual(expected.toSorted())
    expect(keyPackages.every(({ did }) => did === bob.did)).toBe(true)
    expect(missing ?? []).toEqual([])
  })

  it('falls back to a last-resort package, for everyone, once no other is left', async () => {
    const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
    const lastResort = await publishDevice(bob, { lastResort: true })
    const device = await publishDevice(bob)
    const ask = async (client: typeof alice) =>
      (await client.ok('getKeyPackages', { dids: [bob.did] })).keyPackages.map((one) => one.keyPackageHash)
    expect(await ask(alice)).toEqual([device.hash])
    for (const caller of [carol, dave]) expect(await ask(caller)).toEqual([lastResort.hash])
    const keyPackageHashes = [{ did: bob.did, hash: lastResort.hash }]
    await createConvo(carol, { initialMembers: [bob.did], keyPackageHashes })
    expect(await ask(dave)).toEqual([lastResort.hash])
    expect(await ask(alice)).toEqual([device.hash])
  })

  it('hands out none that is consumed or expired', async () => {
    const [alice, bob] = people('alice', 'bob')
    const [used, expired, good] = await publishMany(bob, 3)
    const keyPackageHashes = [{ did: bob.did, hash: used!.ref }]
    await createConvo(alice, { initialMembers: [bob.did], keyPackageHashes })
    await sql()`update key_packages set expires_at = now() where hash = ${expired!.hash}`
    const { keyPackages } = await alice.ok('getKeyPackages', { dids: [bob.did] })
    expect(keyPackages.map(({ keyPackageHash }) => keyPackageHash)).toEqual([good!.hash])
  })

  it('hands out the suite asked for, without one the first', async () => {
    const [alice, bob] = people('alice', 'bob')
    const made = await createTestClient({ identity: bob.did, suite: P256, lifetime: defaultLifetime })
    await bob.ok('publishKeyPackage', { keyPackage: base64(made.bytes), cipherSuite: P256 })
    const ask = (input: object) => alice.ok('getKeyPackages', { dids: [bob.did], ...input })
    expect((await ask({})).missing).toEqual([bob.did])
    expect((await ask({ cipherSuite: SUITE })).missing).toEqual([bob.did])
    expect((await ask({ cipherSuite: P256 })).keyPackages).toMatchObject([
      { keyPackage: base64(made.bytes), cipherSuite: P256 },
    ])
    const unknown = await alice.call('getKeyPackages', { dids: [bob.did], cipherSuite: 'MLS_NULL' })
    expectError(unknown, 'InvalidCipherSuite')
  })

  it('takes 1 to 100 well-formed DIDs', async () => {
    const [alice] = people('alice')
    const dids = ascending(101).map((i) => newDid(`d${i}`))
    const answer = await alice.ok('getKeyPackages', { dids: dids.slice(1) })
    expect(answer).toEqual({ keyPackages: [], missing: dids.slice(1) })
    expectError(await alice.call('getKeyPackages', { dids }), 'TooManyDids')
    for (const bad of ['alice', 'did:', 'did:plc:', 'did:plc:a b', '']) {
      expectError(await alice.call('getKeyPackages', { dids: [dids[0], bad] }), 'InvalidDid')
    }
    expectError(await alice.call('getKeyPackages', {}), 'InvalidRequest')
  })
})
