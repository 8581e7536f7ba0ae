import { timestamp } from '@catbird/shared/clock'
import type { LogRow } from './log-row.ts'
import type { StreamEvent } from './stream-event.ts'

const NOTHING = new Uint8Array()

/** What a row of the log tells the members that there were before or after it, in this order. */
export function eventsOf(row: LogRow): StreamEvent[] {
  const { convoId, kind, seq } = row
  if (kind === 'welcome') return [{ type: 'welcomeEvent', convoId }]
  const membership = (did: string, action: 'joined' | 'left' | 'removed'): StreamEvent => {
    return { type: 'membershipEvent', convoId, did, action, seq }
  }
  return [
    ...(kind === 'app' || kind === 'commit' ? [messageOf(row, kind)] : []),
    ...row.removed.map((did) => membership(did, kind === 'left' ? 'left' : 'removed')),
    ...row.added.map((did) => membership(did, 'joined')),
  ]
}

/** Whether a row is for that member; a Welcome is for who is invited alone. */
export function isFor(did: string, { kind, added }: LogRow): boolean {
  return kind !== 'welcome' || added.includes(did)
}

function messageOf(row: LogRow, messageType: 'app' | 'commit'): StreamEvent {
  return {
    type: 'messageEvent',
    message: {
      id: row.messageId!,
      convoId: row.convoId,
      sender: row.sender,
      ciphertext: row.bytes ?? NOTHING,
      epoch: row.epoch,
      seq: row.seq,
      createdAt: timestamp(row.createdAt.getTime()),
      ...(row.embedType !== null && { embedType: row.embedType }),
      ...(row.embedUri !== null && { embedUri: row.embedUri }),
      messageType,
      logHash: row.logHash!,
    },
  }
}
