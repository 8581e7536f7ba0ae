import { generateKeyPairSync, sign } from 'node:crypto'
import { type Credential, defaultLifetime, encodeMlsMessage, type KeyPackage } from 'ts-mls'
import { encodeKeyPackage, makeKeyPackageRef, signKeyPackage } from 'ts-mls/keyPackage.js'
import { signLeafNodeKeyPackage } from 'ts-mls/leafNode.js'
import { beforeAll, describe, expect, it } from 'vitest'
import { hex, sha256Hex } from '../bytes.ts'
import { CIPHER_SUITES, type CipherSuiteName } from './cipher-suites.ts'
import { signatureVerifier } from './signature.ts'
import {
  basicCredential,
  createTestClient,
  NOW_SECONDS,
  SUITE_1,
  type TestClient,
  type TestClientOptions,
  testSuite,
} from './test-key-packages.ts'
import { join } from './test-random.ts'
import { keyPackageRef, verifyKeyPackage } from './verify-key-package.ts'

const SUITES = Object.keys(CIPHER_SUITES) as CipherSuiteName[]
const claim = { suite: SUITE_1, did: 'did:plc:alice', nowSeconds: NOW_SECONDS }

let client: TestClient
beforeAll(async () => {
  client = await createTestClient()
})

async function reasonFor(options: TestClientOptions, claimed: Partial<typeof claim> = {}) {
  const { bytes } = await createTestClient(options)
  const result = await verifyKeyPackage(bytes, { ...claim, ...claimed })
  return result.ok ? 'accepted' : result.reason
}

/** The package with `change` applied and both signatures made again, so that only the rule can refuse it. */
async function signedAgain(change: (keyPackage: KeyPackage) => KeyPackage): Promise<Uint8Array> {
  const { signature } = await testSuite(SUITE_1)
  const changed = change(client.keyPackage)
  const signKey = client.privateKeys.signaturePrivateKey
  const leafNode = await signLeafNodeKeyPackage(changed.leafNode, signKey, signature)
  return encodeKeyPackage(await signKeyPackage({ ...changed, leafNode }, signKey, signature))
}

describe.each(SUITES)('verifyKeyPackage of %s', (suite) => {
  it('accepts a package, bare and wrapped, and names it', async () => {
    const { keyPackage, bytes } = await createTestClient({ suite })
    const wrapped = encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage })
    const ref = hex(await makeKeyPackageRef(keyPackage, (await testSuite(suite)).hash))
    for (const given of [bytes, wrapped])
      expect(await verifyKeyPackage(given, { ...claim, suite })).toEqual({
        ok: true,
        hash: sha256Hex(given),
        ref,
        identity: 'did:plc:alice',
        notAfter: NOW_SECONDS + 86_400,
        isLastResort: false,
      })
    expect(await keyPackageRef(bytes, suite)).toBe(ref)
  })

  it('refuses a bad signature of the KeyPackage and of the LeafNode', async () => {
    const { keyPackage } = await createTestClient({ suite })
    const tampered = { ...keyPackage, signature: flipLast(keyPackage.signature) }
    expect(await verifyKeyPackage(encodeKeyPackage(tampered), { ...claim, suite })).toEqual({
      ok: false,
      reason: 'KeyPackage signature is not valid',
    })
    expect(await verifyKeyPackage(await withBadLeafSignature(suite), { ...claim, suite })).toEqual({
      ok: false,
      reason: 'LeafNode signature is not valid',
    })
  })
})

/** The KeyPackage signature covers the leaf node, so it is made again over the bad one. */
async function withBadLeafSignature(suite: CipherSuiteName): Promise<Uint8Array> {
  const { keyPackage, privateKeys } = await createTestClient({ suite })
  const leafNode = { ...keyPackage.leafNode, signature: flipLast(keyPackage.leafNode.signature) }
  const { signature } = await testSuite(suite)
  return encodeKeyPackage(
    await signKeyPackage({ ...keyPackage, leafNode }, privateKeys.signaturePrivateKey, signature),
  )
}

function flipLast(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice()
  // Not the very last byte: of an Ed448 signature that one is always zero.
  copy[copy.length - 5]! ^= 1
  return copy
}

describe('verifyKeyPackage', () => {
  it('refuses any single changed byte', async () => {
    for (let at = 0; at < client.bytes.length; at++) {
      const bytes = client.bytes.slice()
      bytes[at]! ^= 0x04
      expect((await verifyKeyPackage(bytes, claim)).ok, `byte ${at}`).toBe(false)
    }
  })

  it('refuses another suite than the declared one', async () => {
    const suite = 'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519'
    expect(await reasonFor({}, { suite })).toBe('cipher suite differs from the declared one')
    expect(await reasonFor({ suite })).toBe('cipher suite differs from the declared one')
    expect(await reasonFor({}, { suite: 'MLS_NULL' })).toBe('unknown cipher suite')
  })

  it('accepts from the first to the last second of the lifetime and refuses outside it', async () => {
    const at = (nowSeconds: number) => reasonFor({}, { nowSeconds })
    expect(await at(NOW_SECONDS - 3601)).toBe('lifetime has not begun')
    expect(await at(NOW_SECONDS - 3600)).toBe('accepted')
    expect(await at(NOW_SECONDS + 86_400)).toBe('accepted')
    expect(await at(NOW_SECONDS + 86_401)).toBe('lifetime has ended')
    expect(await reasonFor({ lifetime: defaultLifetime })).toBe('accepted')
  })

  it.each(['did:plc:alice', 'did:plc:alice#phone', 'did:plc:alice#1#2'])(
    'accepts the identity %s',
    async (identity) => {
      expect(await reasonFor({ identity })).toBe('accepted')
    },
  )

  it.each([
    'did:plc:bob',
    'did:plc:alicia',
    'did:plc:alice2',
    'did:plc:alice/phone',
    'did:plc:alice#',
    'did:plc:alic',
    'did:plc:Alice',
    ' did:plc:alice',
    '\ufeffdid:plc:alice',
    '',
  ])('refuses the identity %j', async (identity) => {
    expect(await reasonFor({ identity })).toBe('credential identity is not the publisher')
  })

  it('refuses an identity that is not UTF-8 and an X.509 credential', async () => {
    const identity = join(new TextEncoder().encode('did:plc:alice#'), Uint8Array.of(0xff))
    const credentials: Credential[] = [
      { credentialType: 'basic', identity },
      { credentialType: 'x509', certificates: [new TextEncoder().encode('did:plc:alice')] },
    ]
    for (const credential of credentials)
      expect(await reasonFor({ credential })).toBe('credential is not a basic one with a UTF-8 identity')
  })

  it('refuses an init_key that is the encryption_key', async () => {
    const bytes = await signedAgain((one) => ({ ...one, initKey: one.leafNode.hpkePublicKey }))
    expect(await verifyKeyPackage(bytes, claim)).toEqual({
      ok: false,
      reason: 'init_key equals encryption_key',
    })
    expect((await verifyKeyPackage(await signedAgain((one) => one), claim)).ok).toBe(true)
  })

  it('refuses a protocol version other than mls10', async () => {
    const bytes = client.bytes.slice()
    bytes[1] = 2
    expect(await verifyKeyPackage(bytes, claim)).toEqual({
      ok: false,
      reason: 'protocol version is not mls10',
    })
  })

  it('refuses trailing and missing bytes', async () => {
    const reason = 'not a well-formed KeyPackage'
    expect(await verifyKeyPackage(join(client.bytes, new Uint8Array(1)), claim)).toEqual({
      ok: false,
      reason,
    })
    expect(await verifyKeyPackage(client.bytes.subarray(0, -1), claim)).toEqual({ ok: false, reason })
    expect(await verifyKeyPackage(new Uint8Array(0), claim)).toEqual({ ok: false, reason })
  })

  it('refuses a signature key that is no key', async () => {
    for (const signaturePublicKey of [new Uint8Array(0), new Uint8Array(31), new Uint8Array(300)]) {
      const bytes = await signedAgain((one) => ({
        ...one,
        leafNode: { ...one.leafNode, signaturePublicKey },
      }))
      expect(await verifyKeyPackage(bytes, claim)).toEqual({
        ok: false,
        reason: 'LeafNode signature is not valid',
      })
    }
  })

  it('sees a last resort package and a device', async () => {
    const extensions = [{ extensionType: 10, extensionData: new Uint8Array(0) }]
    const { bytes } = await createTestClient({ extensions, credential: basicCredential('did:plc:alice#tv') })
    expect(await verifyKeyPackage(bytes, claim)).toMatchObject({
      isLastResort: true,
      identity: 'did:plc:alice#tv',
    })
  })
})

describe('signatureVerifier', () => {
  it.each([
    ['P256', 'P-256', 'sha256'],
    ['P521', 'P-521', 'sha512'],
  ] as const)(
    'takes points of %s uncompressed and compressed and no other form',
    async (name, curve, digest) => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: curve })
      const { x, y } = publicKey.export({ format: 'jwk' })
      const [xBytes, yBytes] = [Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url')]
      const isOdd = yBytes.at(-1)! & 1
      const message = Buffer.from('message')
      const signature = sign(digest, message, privateKey)
      const verifies = (form: number, ...parts: Buffer[]) =>
        signatureVerifier(name).verify(join(Uint8Array.of(form), ...parts), message, signature)
      expect(await verifies(4, xBytes, yBytes)).toBe(true)
      expect(await verifies(2 + isOdd, xBytes)).toBe(true)
      expect(await verifies(3 - isOdd, xBytes)).toBe(false)
      expect(await verifies(6 + isOdd, xBytes, yBytes)).toBe(false)
      expect(await verifies(4, yBytes, xBytes)).toBe(false)
      expect(await verifies(0)).toBe(false)
    },
  )

  it('neither signs nor makes keys', async () => {
    const verifier = signatureVerifier('Ed25519')
    await expect(verifier.keygen()).rejects.toThrow('only verifies')
    await expect(verifier.sign(new Uint8Array(0), new Uint8Array(0))).rejects.toThrow('only verifies')
  })
})
