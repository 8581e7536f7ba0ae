import { RefusalError } from '@catbird/shared/errors'

/**
 * Where a page of messages ends, and how to go on: `forward` continues with later entries, `backward` with earlier
 * ones. `top` is the highest seq on that page, which is how far its reader has come.
 */
export type MessageCursor = { direction: 'forward' | 'backward'; seq: number; top: number }

/** Where a page of conversations ends: by time of the last activity, then id. */
export type ConvoCursor = { lastAtMs: number; convoId: string }

const VERSION = '1'

export function writeMessageCursor(convoId: string, { direction, seq, top }: MessageCursor): string {
  return encodeCursor(['m', convoId, direction === 'forward' ? 'f' : 'b', seq, top])
}

/** @throws RefusalError InvalidCursor, also for one of another conversation */
export function readMessageCursor(convoId: string, text: string): MessageCursor {
  const [kind, of, direction, seq, top] = decodeCursor(text)
  if (kind !== 'm' || of !== convoId || (direction !== 'f' && direction !== 'b')) throw invalidCursor()
  return { direction: direction === 'f' ? 'forward' : 'backward', seq: integerOf(seq), top: integerOf(top) }
}

export function writeConvoCursor({ lastAtMs, convoId }: ConvoCursor): string {
  return encodeCursor(['c', lastAtMs, convoId])
}

/** @throws RefusalError InvalidCursor */
export function readConvoCursor(text: string): ConvoCursor {
  const [kind, lastAtMs, convoId] = decodeCursor(text)
  if (kind !== 'c' || !convoId) throw invalidCursor()
  return { lastAtMs: integerOf(lastAtMs), convoId }
}

export function writeCommitCursor(convoId: string, seq: number): string {
  return encodeCursor(['k', convoId, seq])
}

/** @throws RefusalError InvalidCursor, also for one of another conversation */
export function readCommitCursor(convoId: string, text: string): number {
  const [kind, of, seq] = decodeCursor(text)
  if (kind !== 'k' || of !== convoId) throw invalidCursor()
  return integerOf(seq)
}

export function invalidCursor(): RefusalError {
  return new RefusalError('InvalidCursor', 'cursor is not one of this method')
}

/** Parts without colons as one opaque text. */
export function encodeCursor(parts: (string | number)[]): string {
  return Buffer.from([VERSION, ...parts].join(':')).toString('base64url')
}

/** @throws RefusalError InvalidCursor, for what `encodeCursor` did not make */
export function decodeCursor(text: string): string[] {
  if (!/^[\w-]{1,1024}$/.test(text)) throw invalidCursor()
  const bytes = Buffer.from(text, 'base64url')
  const [version, ...parts] = bytes.toString('utf8').split(':')
  if (version !== VERSION || bytes.toString('base64url') !== text) throw invalidCursor()
  return parts
}

/** @throws RefusalError InvalidCursor */
export function integerOf(text: string | undefined): number {
  const value = /^\d{1,16}$/.test(text ?? '') ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value)) throw invalidCursor()
  return value
}
