import { LEAF_NODE_SOURCE, readLeafNode } from './leaf-node.ts'
import { skipProposalOrRef } from './proposal.ts'
import type { Reader } from './reader.ts'

/** Moves over a Commit (RFC 9420 section 12.4). */
export function skipCommit(reader: Reader): void {
  reader.items(skipProposalOrRef)
  reader.optional(skipUpdatePath)
}

/** UpdatePath (RFC 9420 section 7.6). */
function skipUpdatePath(reader: Reader): void {
  readLeafNode(reader, LEAF_NODE_SOURCE.commit)
  reader.items(skipUpdatePathNode)
}

function skipUpdatePathNode(reader: Reader): void {
  reader.skipVector()
  reader.items(skipHpkeCiphertext)
}

/** HPKECiphertext (RFC 9420 section 7.6): kem_output, ciphertext. */
export function skipHpkeCiphertext(reader: Reader): void {
  reader.skipVector()
  reader.skipVector()
}
