import { skipExtensions } from './extension.ts'
import { readKeyPackageFields } from './key-package.ts'
import { LEAF_NODE_SOURCE, readLeafNode } from './leaf-node.ts'
import { MLS10 } from './mls-message.ts'
import type { Reader } from './reader.ts'

type Walk = (reader: Reader) => void

/** ProposalType (RFC 9420 section 17.4) to the walker of its body (sections 12.1.1 to 12.1.7). */
const BODIES = new Map<number, Walk>([
  [1, skipAdd],
  [2, (reader) => void readLeafNode(reader, LEAF_NODE_SOURCE.update)],
  [3, (reader) => reader.skip(4)],
  [4, skipPreSharedKeyId],
  [5, skipReInit],
  [6, (reader) => reader.skipVector()],
  [7, skipExtensions],
])

/** Moves over a Proposal (RFC 9420 section 12.1). The body of an unknown type has no known end: it fails. */
export function skipProposal(reader: Reader): void {
  const skipBody = BODIES.get(reader.u16())
  if (skipBody) skipBody(reader)
  else reader.fail()
}

/** Moves over a ProposalOrRef (RFC 9420 section 12.4): 1 is a proposal, 2 a ProposalRef. */
export function skipProposalOrRef(reader: Reader): void {
  const type = reader.u8()
  if (type === 1) skipProposal(reader)
  else if (type === 2) reader.skipVector()
  else reader.fail()
}

function skipAdd(reader: Reader): void {
  if (readKeyPackageFields(reader).version !== MLS10) reader.fail()
}

/** PreSharedKeyID (RFC 9420 section 8.4): type 1 is external, 2 resumption. */
function skipPreSharedKeyId(reader: Reader): void {
  const type = reader.u8()
  if (type === 1) reader.skipVector()
  else if (type === 2) skipResumption(reader)
  else reader.fail()
  reader.skipVector()
}

function skipResumption(reader: Reader): void {
  const usage = reader.u8()
  if (usage < 1 || usage > 3) reader.fail()
  reader.skipVector()
  reader.skip(8)
}

function skipReInit(reader: Reader): void {
  reader.skipVector()
  reader.skip(4)
  skipExtensions(reader)
}
