import { decodeCursor, encodeCursor, integerOf, invalidCursor } from '../queries/cursor.ts'
import { below, type Snapshot } from './snapshot.ts'

/** Which events a reader has had: none, those before a time, or those that a snapshot shows. */
export type Since =
  | { kind: 'start' }
  | { kind: 'time'; ms: number }
  | { kind: 'snapshot'; snapshot: Snapshot }

/** The newest event that a reader has had of a conversation. */
export type Place = { convoId: string; n: number; seq: number }

/**
 * What a reader of a stream has had: everything since `since` says so, and of the conversation of `place` everything up
 * to its row `n`. While the past is being sent, conversation by conversation in the order of their ids, `target` is
 * what all those before `place` have been sent up to.
 */
export type StreamPosition = {
  since: Since
  /** When `since` was all that there was, Unix ms: everything older has been had. 0 at the start. */
  atMs: number
  place?: Place
  target?: Target
}

/** As far as the past is being sent; `atMs` as of a position. */
export type Target = { snapshot: Snapshot; atMs: number }

export type StreamCursor = StreamPosition & {
  /** Of the database's life in which the positions are valid. */
  tag: string
  /** The conversation that the stream is of; undefined when it is of all the reader's. */
  convoId: string | undefined
}

/** Transactions that were running are few: the connections of the servers. Of more, a cursor says less than it could. */
const MAX_XIP = 24
const CONVO_ID = /^[0-9a-f]{0,128}$/
/** The year 5138: later ones are no times. */
const MAX_TIME_MS = 1e14

export function writeStreamCursor({ tag, atMs, convoId, since, place, target }: StreamCursor): string {
  const own = place && place.convoId !== convoId ? place.convoId : ''
  return encodeCursor([
    's',
    tag,
    atMs.toString(36),
    convoId ?? '',
    writeSince(since),
    ...(place ? [own, place.n, place.seq] : []),
    ...(place && target ? [writeSnapshot(target.snapshot), target.atMs.toString(36)] : []),
  ])
}

/** Whether it is a cursor of a stream and not of something else. */
export function isStreamCursor(text: string): boolean {
  return decodeCursor(text)[0] === 's'
}

/** @throws RefusalError InvalidCursor */
export function readStreamCursor(text: string): StreamCursor {
  const [kind, tag, at, convoId, since, own, n, seq, target, targetAt] = decodeCursor(text)
  if (kind !== 's' || !/^[0-9a-f]{12}$/.test(tag ?? '')) throw invalidCursor()
  if (!CONVO_ID.test(convoId ?? '') || !CONVO_ID.test(own ?? '')) throw invalidCursor()
  const cursor = { tag: tag!, atMs: timeOf(at), convoId: convoId || undefined, since: readSince(since) }
  if (own === undefined) return cursor
  const place = { convoId: own || convoId!, n: integerOf(n), seq: integerOf(seq) }
  if (!place.convoId) throw invalidCursor()
  if (target === undefined) return { ...cursor, place }
  return { ...cursor, place, target: { snapshot: readSnapshot(target), atMs: timeOf(targetAt) } }
}

function writeSince(since: Since): string {
  if (since.kind === 'start') return '0'
  return since.kind === 'time' ? `t${since.ms.toString(36)}` : writeSnapshot(since.snapshot)
}

function readSince(text = ''): Since {
  if (text === '0') return { kind: 'start' }
  if (text.startsWith('t')) return { kind: 'time', ms: timeOf(text.slice(1)) }
  return { kind: 'snapshot', snapshot: readSnapshot(text) }
}

/** `x`, then `xmax`, then how far below it each running one is. */
function writeSnapshot(snapshot: Snapshot): string {
  const { xmax, xip } = snapshot.xip.length > MAX_XIP ? below(snapshot.xip[MAX_XIP]!, snapshot) : snapshot
  return `x${[xmax, ...xip.map((id) => xmax - id)].map((value) => value.toString(36)).join('.')}`
}

function readSnapshot(text: string): Snapshot {
  if (!text.startsWith('x')) throw invalidCursor()
  const [xmax, ...distances] = text.slice(1).split('.').map(number36)
  const xip = distances.map((distance) => xmax! - distance)
  const isAscending = xip.every((id, i) => id > (xip[i - 1] ?? 0) && id < xmax!)
  if (!isAscending || xip.length > MAX_XIP) throw invalidCursor()
  return { xmax: xmax!, xip }
}

function number36(text = ''): number {
  const value = /^[0-9a-z]{1,11}$/.test(text) ? Number.parseInt(text, 36) : Number.NaN
  if (!Number.isSafeInteger(value)) throw invalidCursor()
  return value
}

function timeOf(text: string | undefined): number {
  const ms = number36(text)
  if (ms > MAX_TIME_MS) throw invalidCursor()
  return ms
}
