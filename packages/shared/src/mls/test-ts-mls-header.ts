import { decodeMlsMessage } from 'ts-mls'
import type { MessageHeader } from './message-header.ts'

/** What ts-mls reads from an MLSMessage of exactly this length, in our terms; null when it does not. */
export function headerByTsMls(bytes: Uint8Array): MessageHeader | null {
  const decoded = decodeOrNull(bytes)
  if (!decoded || decoded[1] !== bytes.length) return null
  const [message] = decoded
  if (message.wireformat === 'mls_private_message') {
    const { groupId, epoch, contentType } = message.privateMessage
    return { wireFormat: 'private', groupId, epoch: Number(epoch), contentType }
  }
  if (message.wireformat !== 'mls_public_message') return null
  const { groupId, epoch, contentType, sender } = message.publicMessage.content
  return { wireFormat: 'public', groupId, epoch: Number(epoch), contentType, senderType: sender.senderType }
}

function decodeOrNull(bytes: Uint8Array) {
  try {
    return decodeMlsMessage(bytes, 0) ?? null
  } catch {
    return null
  }
}
