import { bytesToMultibase, P256Keypair, parseMultikey, Secp256k1Keypair } from '@atproto/crypto'
import { describe, expect, it, vi } from 'vitest'
import type { VerifyKey } from '../verify-key.ts'
import { documentOf, newMultikey } from './did-host.fixture.ts'
import { readKey } from './read-key.ts'

const DID = 'did:plc:alice'
const MULTIKEY = await newMultikey()

const toKey = vi.fn((multikey: string) => ({ multikey, verify: () => false }) as unknown as VerifyKey)
const entry = (fields: object) => ({
  id: `${DID}#atproto`,
  type: 'Multikey',
  controller: DID,
  publicKeyMultibase: MULTIKEY,
  ...fields,
})
const read = (verificationMethod: unknown) => readKey(DID, { id: DID, verificationMethod }, toKey)
const refusal = { reason: 'identity', refusal: { error: 'InvalidToken' } }

function reasonOf(read: () => unknown): unknown {
  try {
    return read()
  } catch (error) {
    return error
  }
}

describe('readKey', () => {
  it('reads secp256k1 and P-256 keys in all three notations', async () => {
    const curves = [
      { keypair: await Secp256k1Keypair.create(), legacy: 'EcdsaSecp256k1VerificationKey2019' },
      { keypair: await P256Keypair.create(), legacy: 'EcdsaSecp256r1VerificationKey2019' },
    ]
    for (const { keypair, legacy } of curves) {
      const multikey = keypair.did().slice('did:key:'.length)
      const point = parseMultikey(multikey).keyBytes
      expect(read([entry({ publicKeyMultibase: multikey })])).toMatchObject({ multikey })
      for (const base of ['base58btc', 'base16'] as const) {
        const old = entry({ type: legacy, publicKeyMultibase: bytesToMultibase(point, base) })
        expect(read([old])).toMatchObject({ multikey })
      }
    }
  })

  it('takes the first usable #atproto entry, and no other', async () => {
    const other = await newMultikey()
    const first = read([
      entry({ id: '#atproto_label', publicKeyMultibase: other }),
      entry({ id: 'did:plc:mallory#atproto', publicKeyMultibase: other }),
      entry({ controller: 'did:plc:mallory', publicKeyMultibase: other }),
      entry({ publicKeyMultibase: undefined }),
      entry({ type: 'Ed25519VerificationKey2020', publicKeyMultibase: other }),
      entry({ publicKeyMultibase: 'z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK' }),
      entry({ id: '#atproto' }),
      entry({ publicKeyMultibase: other }),
    ])
    expect(first).toMatchObject({ multikey: MULTIKEY })
  })

  it('goes on to the next entry when a key is not on its curve', () => {
    toKey.mockImplementationOnce(() => {
      throw new Error('not on the curve')
    })
    expect(read([entry({}), entry({})])).toMatchObject({ multikey: MULTIKEY })
  })

  it('refuses the document of another DID', () => {
    const bobs = documentOf('did:plc:bob', MULTIKEY)
    // Also when everything else in it is about the DID that was asked for.
    for (const document of [bobs, { ...documentOf(DID, MULTIKEY), id: 'did:plc:bob' }]) {
      expect(reasonOf(() => readKey(DID, document, toKey))).toMatchObject(refusal)
    }
  })

  it.each([
    ['no keys', {}],
    ['null', null],
    ['a list', []],
    ['a text', 'did:plc:alice'],
    ['keys that are no list', { verificationMethod: entry({}) }],
    ['a key that is no object', { verificationMethod: ['#atproto'] }],
    ['a key of which the text is a number', { verificationMethod: [entry({ publicKeyMultibase: 1 })] }],
    ['an empty key', { verificationMethod: [entry({ publicKeyMultibase: '' })] }],
    ['a key in no known base', { verificationMethod: [entry({ publicKeyMultibase: '!abc' })] }],
    ['half a key', { verificationMethod: [entry({ publicKeyMultibase: MULTIKEY.slice(0, 20) })] }],
    [
      'a key as JWK only',
      { verificationMethod: [entry({ publicKeyMultibase: undefined, publicKeyJwk: {} })] },
    ],
    ['only a key for labels', { verificationMethod: [entry({ id: '#atproto_label' })] }],
    ['the end of the DID', { verificationMethod: [entry({})], deactivated: true }],
  ])('refuses a document with %s', (_what, fields) => {
    const isObject = fields !== null && typeof fields === 'object' && !Array.isArray(fields)
    const document = isObject ? { id: DID, ...fields } : fields
    expect(reasonOf(() => readKey(DID, document, toKey))).toMatchObject(refusal)
  })

  it('spends little on a document that is full of bad keys', () => {
    toKey.mockClear()
    toKey.mockImplementation(() => {
      throw new Error('not a key')
    })
    const long = entry({ publicKeyMultibase: `z${'2'.repeat(60_000)}` })
    const many = Array.from({ length: 500 }, () => entry({}))
    expect(reasonOf(() => read([long, ...many]))).toMatchObject(refusal)
    expect(toKey.mock.calls.length).toBeLessThan(10)
    toKey.mockReset()
  })
})
