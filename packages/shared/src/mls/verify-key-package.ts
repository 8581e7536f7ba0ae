import { webcrypto } from 'node:crypto'
import { getCiphersuiteFromName } from 'ts-mls/crypto/ciphersuite.js'
import { refhash } from 'ts-mls/crypto/hash.js'
import { makeHashImpl } from 'ts-mls/crypto/implementation/default/makeHashImpl.js'
import { verifyWithLabel } from 'ts-mls/crypto/signature.js'
import { hex, sha256Hex } from '../bytes.ts'
import { type CipherSuiteName, cipherSuiteId, isCipherSuiteName } from './cipher-suites.ts'
import { type KeyPackageFields, readKeyPackage } from './key-package.ts'
import { MLS10 } from './mls-message.ts'
import { signatureVerifier } from './signature.ts'

export type KeyPackageClaim = {
  /** Name of the cipher suite that the publisher declares. */
  suite: string
  /** DID of the publisher. */
  did: string
  nowSeconds: number
}

export type VerifiedKeyPackage = {
  ok: true
  /** SHA-256 of the bytes as given, lower-case hex. */
  hash: string
  /** KeyPackageRef of the bare KeyPackage (RFC 9420 section 5.2), lower-case hex. */
  ref: string
  /** The DID, or `DID#device`. */
  identity: string
  /** Seconds since the epoch; 2^53 - 1 stands for anything later. */
  notAfter: number
  isLastResort: boolean
}

export type KeyPackageRefused = { ok: false; reason: string }

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Verifies a published KeyPackage as RFC 9420 section 10.1 asks (suite, version, both signatures, lifetime,
 * init_key unlike encryption_key) and that its basic credential names the publisher: the DID itself or
 * `DID#device`. Never rejects: what is wrong stands in `reason`.
 */
export async function verifyKeyPackage(
  bytes: Uint8Array,
  claim: KeyPackageClaim,
): Promise<VerifiedKeyPackage | KeyPackageRefused> {
  const { suite } = claim
  if (!isCipherSuiteName(suite)) return refuse('unknown cipher suite')
  const fields = readKeyPackage(bytes)
  if (!fields) return refuse('not a well-formed KeyPackage')
  const identity = readIdentity(fields)
  const reason =
    reasonAgainstFields(fields, claim) ??
    reasonAgainstIdentity(identity, claim.did) ??
    (await reasonAgainstSignatures(fields, suite))
  if (reason !== undefined || identity === null) return refuse(reason ?? 'no identity')
  return {
    ok: true,
    hash: sha256Hex(bytes),
    ref: await keyPackageRef(fields.raw, suite),
    identity,
    notAfter: fields.notAfter,
    isLastResort: fields.isLastResort,
  }
}

/** KeyPackageRef (RFC 9420 section 5.2) of a bare KeyPackage as lower-case hex. */
export async function keyPackageRef(bareBytes: Uint8Array, suite: CipherSuiteName): Promise<string> {
  const hash = makeHashImpl(webcrypto.subtle, getCiphersuiteFromName(suite).hash)
  return hex(await refhash('MLS 1.0 KeyPackage Reference', bareBytes, hash))
}

function reasonAgainstFields(fields: KeyPackageFields, { suite, nowSeconds }: KeyPackageClaim) {
  if (fields.version !== MLS10) return 'protocol version is not mls10'
  if (fields.cipherSuite !== cipherSuiteId(suite)) return 'cipher suite differs from the declared one'
  if (Buffer.compare(fields.initKey, fields.encryptionKey) === 0) return 'init_key equals encryption_key'
  if (nowSeconds < fields.notBefore) return 'lifetime has not begun'
  if (nowSeconds > fields.notAfter) return 'lifetime has ended'
  return undefined
}

/** Only a basic credential has an identity (RFC 9420 section 5.3). */
function readIdentity(fields: KeyPackageFields): string | null {
  if (fields.identity === null) return null
  try {
    return utf8.decode(fields.identity)
  } catch {
    return null
  }
}

function reasonAgainstIdentity(identity: string | null, did: string): string | undefined {
  if (identity === null) return 'credential is not a basic one with a UTF-8 identity'
  const isDevice = identity.startsWith(`${did}#`) && identity.length > did.length + 1
  return identity === did || isDevice ? undefined : 'credential identity is not the publisher'
}

/** The signed structures are prefixes of what they sign, and the strict reader admits one encoding only. */
async function reasonAgainstSignatures(fields: KeyPackageFields, suite: CipherSuiteName) {
  const verifier = signatureVerifier(getCiphersuiteFromName(suite).signature)
  const isSigned = (label: string, content: Uint8Array, signature: Uint8Array) =>
    verifyWithLabel(fields.signatureKey, label, content, signature, verifier)
  if (!(await isSigned('LeafNodeTBS', fields.leafNodeSignedBytes, fields.leafNodeSignature)))
    return 'LeafNode signature is not valid'
  if (!(await isSigned('KeyPackageTBS', fields.signedBytes, fields.signature)))
    return 'KeyPackage signature is not valid'
  return undefined
}

function refuse(reason: string): KeyPackageRefused {
  return { ok: false, reason }
}
