import { encodeBytes, type MessageView } from '@catbird/shared/lexicon'

/** A messageView whose bytes are still bytes: text in JSON, a byte string in CBOR. */
export type StreamMessage = Omit<MessageView, 'ciphertext'> & { ciphertext: Uint8Array }

/** What `infoEvent` says about the stream itself; the last three end it. */
export type Info =
  | 'caughtUp'
  | 'heartbeat'
  | 'membershipEnded'
  | 'OutdatedCursor'
  | 'slow'
  | 'blocked'
  | 'ShuttingDown'

/** What readers of a stream are told, but for its cursor. `type` is the name of its definition in the lexicon. */
export type StreamEvent =
  | { type: 'messageEvent'; message: StreamMessage }
  | {
      type: 'membershipEvent'
      convoId: string
      did: string
      action: 'joined' | 'left' | 'removed'
      seq: number
    }
  | { type: 'welcomeEvent'; convoId: string }
  | { type: 'ephemeralEvent'; convoId: string; sender: string; ciphertext: Uint8Array; epoch: number }
  | { type: 'infoEvent'; info: Info; convoId?: string }

/** The event as JSON shows it. */
export function toWire(event: StreamEvent, cursor: string): Record<string, unknown> {
  const { type, ...fields } = event
  switch (event.type) {
    case 'messageEvent': {
      const message = { ...event.message, ciphertext: encodeBytes(event.message.ciphertext) }
      return { type, cursor, message }
    }
    case 'ephemeralEvent':
      return { type, cursor, ...fields, ciphertext: encodeBytes(event.ciphertext) }
    default:
      return { type, cursor, ...fields }
  }
}
