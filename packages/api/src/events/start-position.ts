import type { Incarnation } from '../database/incarnation.ts'
import { invalidCursor } from '../queries/cursor.ts'
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
  if (text === '0') return { position: { since: { kind: 'start' }, atMs: 0 }, isOutdated: false }
  const cursor = readStreamCursor(text)
  if (cursor.convoId !== undefined && cursor.convoId !== convoId) throw invalidCursor()
  const { since, place, target, atMs } = cursor
  if (cursor.tag === tag) {
    const isOutdated = since.kind === 'snapshot' && atMs < oldestKeptMs
    return { position: { since, atMs, place, target }, isOutdated }
  }
  const fromMs = Math.max(0, atMs - REPLAY_MS)
  return { position: { since: { kind: 'time', ms: fromMs }, atMs: fromMs }, isOutdated: true }
}

/** Whether a position names transactions that have not begun yet: this database has not given it. */
export function isFuture({ since, target }: StreamPosition, nextId: number): boolean {
  const shown = [since.kind === 'snapshot' ? since.snapshot : undefined, target?.snapshot]
  return shown.some((snapshot) => snapshot !== undefined && snapshot.xmax > nextId)
}
