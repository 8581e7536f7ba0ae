import { createHash } from 'node:crypto'
import type { MessageView } from '@catbird/shared/lexicon/types'

/** Log hashes of a whole log, computed from nothing but what getMessages answers (contract, rule 7). */
export function chainOf(convoId: string, messages: MessageView[]): string[] {
  const chain: string[] = []
  let previous = chainStart(convoId)
  for (const message of messages) {
    previous = chainNext(previous, message)
    chain.push(previous)
  }
  return chain
}

/** The log hash after `message`, from the one before it. */
export function chainNext(previous: string, message: MessageView): string {
  const sender = Buffer.from(message.sender, 'utf8')
  const head = Buffer.alloc(19)
  head.writeBigUInt64BE(BigInt(message.seq), 0)
  head.writeBigUInt64BE(BigInt(message.epoch), 8)
  head.writeUInt8(message.messageType === 'app' ? 1 : 2, 16)
  head.writeUInt16BE(sender.length, 17)
  const content = createHash('sha256').update(bytesOf(message.ciphertext)).digest()
  return createHash('sha256')
    .update(Buffer.concat([Buffer.from(previous, 'hex'), head, sender, content]))
    .digest('hex')
}

/** The log hash of a conversation without entries. */
export function chainStart(convoId: string): string {
  return createHash('sha256').update(convoId, 'utf8').digest('hex')
}

export function bytesOf(wire: { $bytes: string }): Buffer {
  return Buffer.from(wire.$bytes, 'base64')
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
