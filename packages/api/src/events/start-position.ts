import type { Incarnation } from '../database/incarnation.ts'
import { invalidCursor } from '../queries/cursor.ts'
import type { Snapshot } from './snapshot.ts'
import { readStreamCursor, type StreamPosition } from './stream-cursor.ts'

/** Where a stream begins. */
export type StreamStart = {
  /** Undefined: now. */
  position: StreamPosition | undefined
  /** The reader may miss something, or get events under numbers that it knows with another content. */
  isOutdated: boolean
}

/** Clocks differ, and what was acknowledged just before a restore may have been lost. */
const REPLAY_MS = 5 * 60_000

/**
 * Reads the cursor that a stream is opened with. One of an earlier life of the database names no position in this one:
 * what is younger than it is sent again.
 *
 * @throws RefusalError InvalidCursor, also for one of a stream of another conversation or, for a stream of all, of one
 */
export function startPosition(
  text: string | undefined,
  { tag }: Incarnation,
  convoId: string | undefined,
  oldestKeptMs: number,
): StreamStart {
  if (text === undefined || text === '') return { position: undefined, isOutdated: false }
  if (text === '0') return { position: { since: { kind: 'start' } }, isOutdated: false }
  const cursor = readStreamCursor(text)
  if (cursor.convoId !== undefined && cursor.convoId !== convoId) throw invalidCursor()
  const { since, place, target, atMs } = cursor
  if (cursor.tag === tag) return { position: { since, place, target }, isOutdated: atMs < oldestKeptMs }
  return { position: { since: { kind: 'time', ms: atMs - REPLAY_MS } }, isOutdated: true }
}

/** Whether a position names transactions that were not begun yet: this database has not given it. */
export function isFuture(position: StreamPosition, now: Snapshot): boolean {
  const { since, target } = position
  const shown = [since.kind === 'snapshot' ? since.snapshot : undefined, target]
  return shown.some((snapshot) => snapshot !== undefined && snapshot.xmax > now.xmax)
}
