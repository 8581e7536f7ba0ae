import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import {
  type CiphersuiteImpl,
  type CiphersuiteName,
  type Credential,
  defaultCapabilities,
  type Extension,
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  type KeyPackage,
  type Lifetime,
  type PrivateKeyPackage,
} from 'ts-mls'
import { makeNobleSignatureImpl } from 'ts-mls/crypto/implementation/default/makeNobleSignatureImpl.js'
import { encodeKeyPackage } from 'ts-mls/keyPackage.js'
import type { CipherSuiteName } from './cipher-suites.ts'

export const SUITE_1 = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'
export const NOW_SECONDS = 1_800_000_000

export type TestClient = { keyPackage: KeyPackage; privateKeys: PrivateKeyPackage; bytes: Uint8Array }

export type TestClientOptions = {
  suite?: CipherSuiteName
  identity?: string
  credential?: Credential
  lifetime?: Lifetime
  extensions?: Extension[]
}

const currentLifetime: Lifetime = {
  notBefore: BigInt(NOW_SECONDS - 3600),
  notAfter: BigInt(NOW_SECONDS + 86_400),
}

/** A key package made and signed by ts-mls, with its private keys. */
export async function createTestClient(options: TestClientOptions = {}): Promise<TestClient> {
  const { identity = 'did:plc:alice', lifetime = currentLifetime, extensions = [] } = options
  const credential = options.credential ?? basicCredential(identity)
  const suite = await testSuite(options.suite ?? SUITE_1)
  const { publicPackage, privatePackage } = await generateKeyPackage(
    credential,
    defaultCapabilities(),
    lifetime,
    extensions,
    suite,
  )
  return { keyPackage: publicPackage, privateKeys: privatePackage, bytes: encodeKeyPackage(publicPackage) }
}

export function basicCredential(identity: string): Credential {
  return { credentialType: 'basic', identity: new TextEncoder().encode(identity) }
}

/**
 * Enough of each suite to make key packages. ts-mls needs @hpke/chacha20poly1305 for suite 3 and
 * @hpke/dhkem-x448 for 4 and 6, but a key package uses neither AEAD nor KEM: only key pairs and a signature.
 */
export async function testSuite(name: CipherSuiteName): Promise<CiphersuiteImpl> {
  if (name.includes('X448')) return x448Suite(name)
  const base = name.includes('CHACHA20POLY1305') ? SUITE_1 : name
  return { ...(await getCiphersuiteImpl(getCiphersuiteFromName(base))), name }
}

async function x448Suite(name: CiphersuiteName): Promise<CiphersuiteImpl> {
  const base = await getCiphersuiteImpl(getCiphersuiteFromName('MLS_256_DHKEMP521_AES256GCM_SHA512_P521'))
  const rawKey = (key: object) => Promise.resolve(key as Uint8Array)
  const hpke: CiphersuiteImpl['hpke'] = {
    ...base.hpke,
    generateKeyPair: async () => rawX448KeyPair(),
    exportPublicKey: rawKey,
    exportPrivateKey: rawKey,
  }
  return { ...base, hpke, name, signature: await makeNobleSignatureImpl('Ed448') }
}

/** Raw bytes stand for the opaque key types of ts-mls, which only the two export functions above see. */
function rawX448KeyPair() {
  const { publicKey, privateKey } = generateKeyPairSync('x448')
  const raw = (key: KeyObject, part: 'x' | 'd') =>
    new Uint8Array(Buffer.from(key.export({ format: 'jwk' })[part] ?? '', 'base64url'))
  const pair: unknown = { publicKey: raw(publicKey, 'x'), privateKey: raw(privateKey, 'd') }
  return pair as Awaited<ReturnType<CiphersuiteImpl['hpke']['generateKeyPair']>>
}
