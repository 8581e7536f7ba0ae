import { randomFillSync } from 'node:crypto'

export type FrameOptions = {
  groupId: Uint8Array
  epoch: number
  /** Length of the whole MLSMessage in bytes, 800 if not told; raised to the least that holds the header. */
  size?: number
  /** Fills the encrypted parts; the default is the system's random source. */
  random?: (bytes: Uint8Array) => void
}

const CONTENT_TYPE = { application: 1, commit: 3 } as const
/** SenderData (section 6.3.2) is 12 bytes; the AEAD tag adds 16. */
const SENDER_DATA_BYTES = 28
const DEFAULT_SIZE = 800

/**
 * A PrivateMessage (RFC 9420 section 6.3) with a valid header and noise for its encrypted parts: to a Delivery
 * Service it cannot be told from a real application message. For load, where real crypto would be the limit.
 */
export function craftApplicationMessage(options: FrameOptions): Uint8Array<ArrayBuffer> {
  return craftPrivateMessage(options, CONTENT_TYPE.application)
}

/** The same with content_type commit: the epoch is the one that the commit ends. */
export function craftCommit(options: FrameOptions): Uint8Array<ArrayBuffer> {
  return craftPrivateMessage(options, CONTENT_TYPE.commit)
}

function craftPrivateMessage(options: FrameOptions, contentType: number): Uint8Array<ArrayBuffer> {
  const { groupId, epoch, size = DEFAULT_SIZE, random = randomFillSync } = options
  const head = Buffer.concat([Buffer.from([0, 1, 0, 2]), vectorLength(groupId.length), groupId])
  const tail = Buffer.alloc(11)
  tail.writeBigUInt64BE(BigInt(epoch))
  tail[8] = contentType
  // tail[9] is the empty authenticated_data, tail[10] the length of encrypted_sender_data.
  const fixed = head.length + tail.length + SENDER_DATA_BYTES
  const { ciphertextBytes, spare } = fit(Math.max(size - fixed, 2))
  tail[10] = SENDER_DATA_BYTES + spare
  const noise = new Uint8Array(SENDER_DATA_BYTES + spare + ciphertextBytes)
  random(noise)
  const senderData = noise.subarray(0, SENDER_DATA_BYTES + spare)
  const ciphertext = noise.subarray(SENDER_DATA_BYTES + spare)
  const parts = [head, tail, senderData, vectorLength(ciphertextBytes), ciphertext]
  return new Uint8Array(Buffer.concat(parts))
}

/** Splits `total` into a vector and, where no vector has exactly that size, spare bytes beside it. */
function fit(total: number): { ciphertextBytes: number; spare: number } {
  const headerBytes = total < 65 ? 1 : total < 16_386 ? 2 : 4
  // 65, 16 386 and 16 387 fall into the gaps where the length header grows.
  const ciphertextBytes =
    headerBytes === 2 ? Math.max(total - 2, 63) : headerBytes === 4 ? Math.max(total - 4, 16_383) : total - 1
  return { ciphertextBytes, spare: total - ciphertextBytes - vectorLength(ciphertextBytes).length }
}

/** Variable-size length header (RFC 9420 section 2.1.2). */
function vectorLength(length: number): Buffer {
  if (length < 64) return Buffer.from([length])
  const header = Buffer.alloc(length < 16_384 ? 2 : 4)
  if (header.length === 2) header.writeUInt16BE(length | 0x4000)
  else header.writeUInt32BE(length + 0x8000_0000)
  return header
}
