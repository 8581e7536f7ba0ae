import { LAST_RESORT, readExtensionTypes } from './extension.ts'
import { LEAF_NODE_SOURCE, readLeafNode } from './leaf-node.ts'
import { readBareOrWrapped, WIRE_FORMAT } from './mls-message.ts'
import type { Reader } from './reader.ts'

/** The parts of a KeyPackage (RFC 9420 section 10). Byte strings are views into the bytes that were read. */
export type KeyPackageFields = {
  version: number
  cipherSuite: number
  initKey: Uint8Array
  encryptionKey: Uint8Array
  signatureKey: Uint8Array
  credentialType: number
  /** Of a basic credential only. */
  identity: Uint8Array | null
  /** Seconds since the epoch; at most 2^53 - 1, which stands for anything later. */
  notBefore: number
  notAfter: number
  /** Types of the KeyPackage's own extensions, in their order. */
  extensions: number[]
  isLastResort: boolean
  /** The bare KeyPackage. */
  raw: Uint8Array
  /** KeyPackageTBS and LeafNodeTBS with their signatures (sections 10 and 7.2). */
  signedBytes: Uint8Array
  signature: Uint8Array
  leafNodeSignedBytes: Uint8Array
  leafNodeSignature: Uint8Array
}

/** Reads a KeyPackage, bare or in an MLSMessage, of the exact length; null for anything else. */
export function readKeyPackage(bytes: Uint8Array): KeyPackageFields | null {
  return readBareOrWrapped(bytes, WIRE_FORMAT.keyPackage, readKeyPackageFields)
}

/** Reads a KeyPackage (RFC 9420 section 10) that is part of something greater. */
export function readKeyPackageFields(reader: Reader): KeyPackageFields {
  const start = reader.offset
  const version = reader.u16()
  const cipherSuite = reader.u16()
  const initKey = reader.vector()
  const leafNode = readLeafNode(reader, LEAF_NODE_SOURCE.keyPackage)
  const extensions = readExtensionTypes(reader)
  const signedBytes = reader.bytes.subarray(start, reader.offset)
  const signature = reader.vector()
  return {
    version,
    cipherSuite,
    initKey,
    encryptionKey: leafNode.encryptionKey,
    signatureKey: leafNode.signatureKey,
    credentialType: leafNode.credential.type,
    identity: leafNode.credential.identity,
    notBefore: leafNode.lifetime?.notBefore ?? 0,
    notAfter: leafNode.lifetime?.notAfter ?? 0,
    extensions,
    isLastResort: extensions.includes(LAST_RESORT),
    raw: reader.bytes.subarray(start, reader.offset),
    signedBytes,
    signature,
    leafNodeSignedBytes: leafNode.signedBytes,
    leafNodeSignature: leafNode.signature,
  }
}
