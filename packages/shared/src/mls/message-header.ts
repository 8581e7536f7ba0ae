import { skipCommit } from './commit.ts'
import { MLS10, WIRE_FORMAT } from './mls-message.ts'
import { skipProposal } from './proposal.ts'
import { Reader } from './reader.ts'

export type ContentType = 'application' | 'proposal' | 'commit'
export type SenderType = 'member' | 'external' | 'new_member_proposal' | 'new_member_commit'

/** What a Delivery Service can see of a group message (RFC 9420 section 6). */
export type MessageHeader = {
  wireFormat: 'public' | 'private'
  /** A view into the message. */
  groupId: Uint8Array
  epoch: number
  contentType: ContentType
  /** Of a PublicMessage only: a PrivateMessage hides its sender and always comes from a member. */
  senderType?: SenderType
}

const CONTENT_TYPES: readonly (ContentType | undefined)[] = [undefined, 'application', 'proposal', 'commit']
const SENDER_TYPES: readonly (SenderType | undefined)[] = [
  undefined,
  'member',
  'external',
  'new_member_proposal',
  'new_member_commit',
]

/**
 * Reads the header of an MLSMessage (RFC 9420 section 6) that is a PublicMessage or a PrivateMessage and checks
 * the structure of all that follows, to the exact length. Null for anything else, also for an unknown proposal
 * type, whose end cannot be known, and an epoch beyond 2^53 - 1. Signatures and tags are not verified: that
 * takes the group's state, which a Delivery Service does not have.
 */
export function readMessageHeader(bytes: Uint8Array): MessageHeader | null {
  const reader = new Reader(bytes)
  if (reader.u16() !== MLS10) return null
  const header = readBody(reader, reader.u16())
  return header && reader.isComplete ? header : null
}

function readBody(reader: Reader, wireFormat: number): MessageHeader | null {
  if (wireFormat === WIRE_FORMAT.privateMessage) return readPrivateMessage(reader)
  if (wireFormat === WIRE_FORMAT.publicMessage) return readPublicMessage(reader)
  return null
}

/** PrivateMessage (RFC 9420 section 6.3). */
function readPrivateMessage(reader: Reader): MessageHeader | null {
  const groupId = reader.vector()
  const epoch = reader.u64()
  const contentType = CONTENT_TYPES[reader.u8()]
  reader.skipVector() // authenticated_data
  reader.skipVector() // encrypted_sender_data
  reader.skipVector() // ciphertext
  return contentType ? { wireFormat: 'private', groupId, epoch, contentType } : null
}

/** PublicMessage (RFC 9420 section 6.2): FramedContent, FramedContentAuthData, membership_tag of a member. */
function readPublicMessage(reader: Reader): MessageHeader | null {
  const groupId = reader.vector()
  const epoch = reader.u64()
  const senderType = readSenderType(reader)
  reader.skipVector() // authenticated_data
  const contentType = CONTENT_TYPES[reader.u8()]
  // Application data must be encrypted (section 6.2).
  if (!senderType || !contentType || contentType === 'application') return null
  if (contentType === 'commit') skipCommit(reader)
  else skipProposal(reader)
  reader.skipVector() // signature
  if (contentType === 'commit') reader.skipVector() // confirmation_tag
  if (senderType === 'member') reader.skipVector() // membership_tag
  return { wireFormat: 'public', groupId, epoch, contentType, senderType }
}

/** Sender (RFC 9420 section 6): leaf_index of a member, sender_index of an external sender. */
function readSenderType(reader: Reader): SenderType | undefined {
  const senderType = SENDER_TYPES[reader.u8()]
  if (senderType === 'member' || senderType === 'external') reader.skip(4)
  return senderType
}
