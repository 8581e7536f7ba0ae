import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { describe, expect, it } from 'vitest'
import { makeKey } from './service-token.fixture.ts'
import { libsecp256k1, signingKeyOf } from './signing-key.ts'

const DATA = Buffer.from('what was signed')

describe.each([
  { algorithm: 'ES256' as const, by: 'OpenSSL', library: null },
  { algorithm: 'ES256K' as const, by: 'libsecp256k1', library: libsecp256k1 },
  { algorithm: 'ES256K' as const, by: 'OpenSSL', library: null },
])('a key for $algorithm, verified by $by', ({ algorithm, library }) => {
  const pair = makeKey(algorithm)
  const key = signingKeyOf(pair.multikey, library)

  it('goes with its algorithm', () => expect(key.algorithm).toBe(algorithm))

  it('accepts a signature with a low and with a high s, and leaves its bytes as they are', () => {
    const signature = pair.sign(DATA)
    for (const size of ['low', 'high'] as const) {
      const variant = pair.withS(size, signature)
      const before = Buffer.from(variant)
      expect(key.verify(DATA, variant)).toBe(true)
      expect(variant).toEqual(before)
    }
  })

  it('accepts what the AT Protocol library signs', async () => {
    const other = await (algorithm === 'ES256' ? P256Keypair : Secp256k1Keypair).create()
    const multikey = other.did().slice('did:key:'.length)
    expect(multikey).toMatch(algorithm === 'ES256' ? /^zDna/ : /^zQ3s/)
    expect(signingKeyOf(multikey, library).verify(DATA, await other.sign(DATA))).toBe(true)
  })

  it('refuses a signature of other data, by another key, or with any byte changed', () => {
    const signature = pair.sign(DATA)
    expect(key.verify(Buffer.from('what was not signed'), signature)).toBe(false)
    expect(key.verify(DATA, makeKey(algorithm).sign(DATA))).toBe(false)
    for (let at = 0; at < signature.length; at++) {
      const changed = Buffer.from(signature)
      changed[at]! ^= 1
      expect(key.verify(DATA, changed)).toBe(false)
    }
  })

  it('refuses, without a fault, what is no signature', () => {
    const signature = pair.sign(DATA)
    const zero = Buffer.alloc(32)
    const [r, s] = [signature.subarray(0, 32), signature.subarray(32)]
    const huge = Buffer.alloc(32, 0xff)
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.alloc(64),
      Buffer.concat([zero, s]),
      Buffer.concat([r, zero]),
      Buffer.concat([huge, s]),
      Buffer.concat([r, huge]),
      signature.subarray(0, 63),
      Buffer.concat([signature, Buffer.of(0)]),
      pair.sign(DATA, 'der'),
    ]) {
      expect(key.verify(DATA, bytes)).toBe(false)
    }
  })
})

describe('signingKeyOf', () => {
  it.runIf(['linux-x64', 'darwin-arm64'].includes(`${process.platform}-${process.arch}`))(
    'has libsecp256k1 on the usual machines',
    () => expect(libsecp256k1).not.toBeNull(),
  )

  const { multikey, point } = makeKey('ES256K')
  it.each([
    ['nothing', ''],
    ['a did:key', `did:key:${multikey}`],
    ['an Ed25519 key', 'z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'],
    ['a key in hex', `fe701${point.toString('hex', 0, 33)}`],
    ['a key without its multibase prefix', multikey.slice(1)],
    ['a character that base58 does not have', `${multikey.slice(0, -1)}0`],
    ['a space', `${multikey} `],
    ['a truncated key', multikey.slice(0, -2)],
    ['a key with more behind it', `${multikey}11`],
    ['no point of the curve', `zQ3s${'1'.repeat(45)}`],
    ['a text that would take long to decode', `z${'z'.repeat(1_000_000)}`],
  ])('throws on %s', (_what, text) => expect(() => signingKeyOf(text)).toThrow())
})
