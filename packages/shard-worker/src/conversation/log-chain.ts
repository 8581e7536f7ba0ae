import { hash } from 'node:crypto'
import { sha256 } from '@catbird/shared/bytes'

const KIND_BYTE = { app: 1, commit: 2 } as const

/** The hash that the first entry of a conversation builds on, lower-case hex. */
export function chainStart(convoId: string): string {
  return sha256(Buffer.from(convoId)).toString('hex')
}

/**
 * The next `logHash`: SHA-256(previous ‖ seq u64 ‖ epoch u64 ‖ kind u8 ‖ sender length u16 ‖ sender ‖ SHA-256(bytes)),
 * integers big-endian. Members who compare one value notice a server that forks, reorders, drops or loses entries.
 *
 * @param sha256Hex of the entry's bytes
 * @returns lower-case hex
 */
export function chainNext(
  previous: string,
  entry: { seq: number; epoch: number; kind: 'app' | 'commit'; sender: string; sha256: string },
): string {
  const senderLength = Buffer.byteLength(entry.sender)
  const input = Buffer.allocUnsafe(32 + 8 + 8 + 1 + 2 + senderLength + 32)
  input.write(previous, 0, 'hex')
  writeU64(input, entry.seq, 32)
  writeU64(input, entry.epoch, 40)
  input[48] = KIND_BYTE[entry.kind]
  input.writeUInt16BE(senderLength, 49)
  input.write(entry.sender, 51)
  input.write(entry.sha256, 51 + senderLength, 'hex')
  return hash('sha256', input, 'hex')
}

function writeU64(buffer: Buffer, value: number, offset: number): void {
  buffer.writeUInt32BE(Math.floor(value / 0x1_0000_0000), offset)
  buffer.writeUInt32BE(value >>> 0, offset + 4)
}
