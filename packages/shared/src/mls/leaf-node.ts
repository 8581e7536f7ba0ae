import { type Credential, readCredential } from './credential.ts'
import { skipExtensions } from './extension.ts'
import type { Reader } from './reader.ts'

/** LeafNodeSource (RFC 9420 section 7.2). */
export const LEAF_NODE_SOURCE = { keyPackage: 1, update: 2, commit: 3 } as const

export type LeafNodeSource = (typeof LEAF_NODE_SOURCE)[keyof typeof LEAF_NODE_SOURCE]

export type LeafNode = {
  encryptionKey: Uint8Array
  signatureKey: Uint8Array
  credential: Credential
  lifetime: Lifetime | null
  /** Everything before the signature: for the source key_package this is the LeafNodeTBS. */
  signedBytes: Uint8Array
  signature: Uint8Array
}

/** Seconds since the epoch; a bound beyond 2^53 - 1 reads as that number. */
export type Lifetime = { notBefore: number; notAfter: number }

/** LeafNode (RFC 9420 section 7.2). A leaf node of another source than the one that belongs there fails. */
export function readLeafNode(reader: Reader, source: LeafNodeSource): LeafNode {
  const start = reader.offset
  const encryptionKey = reader.vector()
  const signatureKey = reader.vector()
  const credential = readCredential(reader)
  skipCapabilities(reader)
  if (reader.u8() !== source) reader.fail()
  const lifetime = source === LEAF_NODE_SOURCE.keyPackage ? readLifetime(reader) : null
  if (source === LEAF_NODE_SOURCE.commit) reader.skipVector()
  skipExtensions(reader)
  const signedBytes = reader.bytes.subarray(start, reader.offset)
  const signature = reader.vector()
  return { encryptionKey, signatureKey, credential, lifetime, signedBytes, signature }
}

function readLifetime(reader: Reader): Lifetime {
  return { notBefore: reader.u64Saturating(), notAfter: reader.u64Saturating() }
}

/** Capabilities: versions, cipher suites, extensions, proposals, credentials, each a vector of uint16. */
function skipCapabilities(reader: Reader): void {
  for (let list = 0; list < 5; list++) reader.items(skipU16)
}

function skipU16(reader: Reader): void {
  reader.skip(2)
}
