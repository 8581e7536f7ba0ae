import type { StreamEvent } from './event-check.ts'
import type { ReaderTruth } from './judge-delivery.ts'
import { tellStory } from './ledger-story.fixture.ts'
import { type Since, StreamLedger } from './stream-ledger.ts'
import { faultLines, type Verdict } from './verdict.ts'

export const { truth, events, lines } = tellStory()

/** A connection with what came on it. */
export type Connection = { cursor?: string; since?: Since; events: StreamEvent[] }

export function judge(connections: Connection[], changed: Partial<ReaderTruth> = {}): Verdict {
  const ledger = new StreamLedger()
  for (const { cursor, since, events: came } of connections) {
    ledger.connected(cursor, since)
    for (const event of came) ledger.received(event)
  }
  return ledger.judge({ ...truth, ...changed })
}

/** The story over one connection, with something done to it. */
export function doctored(change: (copy: StreamEvent[]) => unknown): string[] {
  const copy = structuredClone(events)
  change(copy)
  return faultLines(judge([{ cursor: '0', events: copy }]))
}

export function isEntry(convoId: string, seq: number) {
  return (event: StreamEvent) =>
    event.type === 'messageEvent' && event.message.convoId === convoId && event.message.seq === seq
}

export function placeOf(convoId: string, seq: number): number {
  return events.findIndex(isEntry(convoId, seq))
}

export function entryOf(copy: StreamEvent[], convoId: string, seq: number) {
  const event = copy.find(isEntry(convoId, seq))
  if (event?.type !== 'messageEvent') throw new Error('no such entry')
  return event.message
}

export function info(name: string, cursor: string): StreamEvent {
  return { type: 'infoEvent', cursor, info: name }
}

export function cursorAt(index: number): string {
  return events[index]!.cursor
}
