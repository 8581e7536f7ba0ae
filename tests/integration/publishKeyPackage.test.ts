import { createTestClient, testSuite } from '@catbird/shared/mls/test-key-packages'
import { defaultLifetime, encodeMlsMessage, type KeyPackage } from 'ts-mls'
import { encodeKeyPackage, signKeyPackage } from 'ts-mls/keyPackage.js'
import { signLeafNodeKeyPackage } from 'ts-mls/leafNode.js'
import { describe, expect, it } from 'vitest'
import { wire } from '../support/client.ts'
import { SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { sha256 } from '../support/log-chain.ts'
import { ascending } from '../support/matchers.ts'
import { base64, type Device, newDevice, publishDevice } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

const P256 = 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256'
const DAY_MS = 86_400_000
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString()

/** The package with `change` applied and both signatures made again, so that only the rule can refuse it. */
async function signedAgain(device: Device, change: (one: KeyPackage) => KeyPackage): Promise<Uint8Array> {
  const { signature } = await testSuite(SUITE)
  const signKey = device.privateKeys.signaturePrivateKey
  const changed = change(device.keyPackage)
  const leafNode = await signLeafNodeKeyPackage(changed.leafNode, signKey, signature)
  return encodeKeyPackage(await signKeyPackage({ ...changed, leafNode }, signKey, signature))
}

/** A flipped bit, not in the last byte. */
function flipped(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, i) => (i === bytes.length - 5 ? byte ^ 1 : byte))
}

describe('publishKeyPackage', () => {
  const { people, sql } = useServer({ ...MODES[0].env, MAX_KEY_PACKAGES: '5' })
  const publishing = (bytes: Uint8Array, input: object = {}) => ({
    keyPackage: base64(bytes),
    cipherSuite: SUITE,
    ...input,
  })

  it('answers the hash of the bytes as published, bare and wrapped, and how many there are', async () => {
    const [alice] = people('alice')
    const { bytes, keyPackage } = await newDevice(alice.did)
    const wrapped = encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage })
    expect(await alice.ok('publishKeyPackage', publishing(bytes))).toEqual({
      keyPackageHash: sha256(bytes),
      available: 1,
    })
    expect(await alice.ok('publishKeyPackage', publishing(wrapped))).toEqual({
      keyPackageHash: sha256(wrapped),
      available: 2,
    })
    const forms = [
      wire(bytes),
      Buffer.from(bytes).toString('base64url'),
      { $bytes: base64(bytes).replace(/=+$/, '') },
    ]
    for (const form of forms) {
      const again = await alice.ok('publishKeyPackage', { ...publishing(bytes), keyPackage: form })
      expect(again).toEqual({ keyPackageHash: sha256(bytes), available: 2 })
    }
  })

  it('does nothing when the same bytes come again, in sequence, at once or after they were used', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { bytes, hash } = await newDevice(alice.did)
    const input = publishing(bytes, { idempotencyKey: 'key' })
    const answers = await Promise.all(ascending(10).map(() => alice.ok('publishKeyPackage', input)))
    for (const answer of answers) expect(answer).toEqual({ keyPackageHash: hash, available: 1 })
    const keyPackageHashes = [{ did: alice.did, hash }]
    const create = { groupId: hash, cipherSuite: SUITE, initialMembers: [alice.did], keyPackageHashes }
    await bob.ok('createConvo', create)
    const used = await alice.ok('publishKeyPackage', input)
    expect(used).toEqual({ keyPackageHash: hash, available: 0 })
    expect((await bob.ok('getKeyPackages', { dids: [alice.did] })).missing).toEqual([alice.did])
  })

  it('takes packages of the DID and of each of its devices', async () => {
    const [alice] = people('alice')
    for (const device of ['phone', 'a#b']) await publishDevice(alice, { device })
    const rows = await sql()`select identity from key_packages where did = ${alice.did} order by identity`
    expect(rows.map(({ identity }) => identity)).toEqual([`${alice.did}#a#b`, `${alice.did}#phone`])
  })

  it('counts what is available by cipher suite', async () => {
    const [alice] = people('alice')
    await publishDevice(alice)
    const made = await createTestClient({ identity: alice.did, suite: P256, lifetime: defaultLifetime })
    const other = publishing(made.bytes, { cipherSuite: P256 })
    expect((await alice.ok('publishKeyPackage', other)).available).toBe(1)
    expect(
      (await alice.ok('publishKeyPackage', publishing((await newDevice(alice.did)).bytes))).available,
    ).toBe(2)
  })

  it('refuses bytes that are no key package of exactly this length', async () => {
    const [alice] = people('alice')
    const { bytes } = await newDevice(alice.did)
    const bad = [
      bytes.subarray(0, -1),
      Buffer.concat([bytes, Buffer.alloc(1)]),
      Buffer.alloc(100, 9),
      Buffer.alloc(0),
    ]
    for (const one of bad) {
      expectError(await alice.call('publishKeyPackage', publishing(one)), 'InvalidKeyPackage')
    }
  })

  it('refuses packages that break a rule of the contract', async () => {
    const [alice, bob] = people('alice', 'bob')
    const device = await newDevice(alice.did)
    const { keyPackage, privateKeys } = device
    const { signature } = await testSuite(SUITE)
    const leafNode = { ...keyPackage.leafNode, signature: flipped(keyPackage.leafNode.signature) }
    const encoded = async (options: object) =>
      (await createTestClient({ identity: alice.did, lifetime: defaultLifetime, ...options })).bytes
    const lifetime = (from: number, to: number) => {
      const now = Math.floor(Date.now() / 1000)
      return { notBefore: BigInt(now + from), notAfter: BigInt(now + to) }
    }
    const bad: Record<string, Uint8Array> = {
      'of another DID': await encoded({ identity: bob.did }),
      'of a DID that only begins like the caller': await encoded({ identity: `${alice.did}x` }),
      'of another suite than declared': await encoded({ suite: P256 }),
      expired: await encoded({ lifetime: lifetime(-7200, -60) }),
      'not yet valid': await encoded({ lifetime: lifetime(3600, 7200) }),
      'with an X.509 credential': await encoded({
        credential: { credentialType: 'x509', certificates: [new Uint8Array(9)] },
      }),
      'with a bad KeyPackage signature': encodeKeyPackage({
        ...keyPackage,
        signature: flipped(keyPackage.signature),
      }),
      'with a bad LeafNode signature': encodeKeyPackage(
        await signKeyPackage({ ...keyPackage, leafNode }, privateKeys.signaturePrivateKey, signature),
      ),
      'with one key for both uses': await signedAgain(device, (one) => ({
        ...one,
        initKey: one.leafNode.hpkePublicKey,
      })),
    }
    for (const [name, bytes] of Object.entries(bad)) {
      const answer = await alice.call('publishKeyPackage', publishing(bytes))
      expect(answer.status, name).toBe(400)
      expectError(answer, 'InvalidKeyPackage')
    }
    expect((await alice.ok('publishKeyPackage', publishing(device.bytes))).available).toBe(1)
  })

  it('refuses unknown cipher suites', async () => {
    const [alice] = people('alice')
    const { bytes } = await newDevice(alice.did)
    for (const cipherSuite of ['MLS_NULL', '1', '']) {
      const answer = await alice.call('publishKeyPackage', publishing(bytes, { cipherSuite }))
      expectError(answer, 'InvalidCipherSuite')
    }
  })

  it('takes an expiry of up to 90 days and an hour and none further ahead', async () => {
    const [alice] = people('alice')
    const publish = async (expires: string) =>
      alice.call('publishKeyPackage', publishing((await newDevice(alice.did)).bytes, { expires }))
    expect((await publish(inMs(90 * DAY_MS + 3_500_000))).status).toBe(200)
    expectError(await publish(inMs(90 * DAY_MS + 3_700_000)), 'ExpirationTooFar')
    for (const bad of ['tomorrow', '2030', 7]) {
      expectError(await publish(bad as string), 'InvalidRequest')
    }
  })

  it("keeps a package until it expires, at the latest until 90 days and an hour, or its own lifetime's end", async () => {
    const [alice] = people('alice')
    const expiryOf = async (hash: string) => {
      const [row] = await sql()`select expires_at from key_packages where hash = ${hash}`
      return row!.expires_at.getTime() as number
    }
    const soon = inMs(5 * DAY_MS)
    const given = await publishDevice(alice, { expires: soon })
    expect(await expiryOf(given.hash)).toBe(Date.parse(soon))
    const notAfter = Math.floor(Date.now() / 1000) + 3600
    const lifetime = { notBefore: BigInt(notAfter - 7200), notAfter: BigInt(notAfter) }
    const short = await createTestClient({ identity: alice.did, lifetime })
    await alice.ok('publishKeyPackage', publishing(short.bytes))
    expect(await expiryOf(sha256(short.bytes))).toBe(notAfter * 1000)
    const long = await publishDevice(alice)
    const cap = Date.now() + 90 * DAY_MS + 3_600_000
    expect(Math.abs((await expiryOf(long.hash)) - cap)).toBeLessThan(60_000)
  })

  it('refuses more than MAX_KEY_PACKAGES, though not the same one again', async () => {
    const [alice, bob] = people('alice', 'bob')
    const devices: Device[] = []
    for (const i of ascending(5)) devices.push(await publishDevice(alice, { device: `d${i}` }))
    const next = publishing((await newDevice(alice.did)).bytes)
    expectError(await alice.call('publishKeyPackage', next), 'TooManyKeyPackages')
    expect((await alice.ok('publishKeyPackage', publishing(devices[0]!.bytes))).available).toBe(5)
    await publishDevice(bob)
    await sql()`delete from key_packages where hash = ${devices[4]!.hash}`
    expect((await alice.ok('publishKeyPackage', next)).available).toBe(5)
  })

  it('takes 64 KiB and refuses one byte more', async () => {
    const [alice] = people('alice')
    const edge = await alice.call('publishKeyPackage', publishing(new Uint8Array(65_536)))
    expectError(edge, 'InvalidKeyPackage')
    const over = await alice.call('publishKeyPackage', publishing(new Uint8Array(65_537)))
    expectError(over, 'MessageTooLarge')
  })
})
