import { type MessageHeader, readMessageHeader } from './message-header.ts'

const LENGTH_BYTES = 4

/**
 * Reads the header of an application message: an MLSMessage of the exact length that is a PrivateMessage with
 * content_type application (RFC 9420 section 6.3), bare or in the clients' padding envelope: big-endian uint32
 * length, MLSMessage of exactly that length, zeros. Null for anything else.
 */
export function readApplicationMessage(bytes: Uint8Array): MessageHeader | null {
  return readBare(bytes) ?? readEnvelope(bytes)
}

function readBare(bytes: Uint8Array): MessageHeader | null {
  const header = readMessageHeader(bytes)
  return header?.contentType === 'application' ? header : null
}

function readEnvelope(bytes: Uint8Array): MessageHeader | null {
  if (bytes.length < LENGTH_BYTES) return null
  const length = ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0
  const end = LENGTH_BYTES + length
  if (end > bytes.length || !isAllZeros(bytes.subarray(end))) return null
  return readBare(bytes.subarray(LENGTH_BYTES, end))
}

/** Equal to itself shifted by one and starting with a zero: one memcmp instead of a loop over megabytes. */
function isAllZeros(bytes: Uint8Array): boolean {
  if (bytes.length === 0) return true
  return bytes[0] === 0 && Buffer.compare(bytes.subarray(1), bytes.subarray(0, -1)) === 0
}
