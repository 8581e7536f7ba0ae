import { RefusalError } from '@catbird/shared/errors'
import { describe, expect, it } from 'vitest'
import { isStreamCursor, readStreamCursor, type StreamCursor, writeStreamCursor } from './stream-cursor.ts'

const base = { tag: '0123456789ab', atMs: 1_795_000_000_123, convoId: undefined }
const shown = {
  kind: 'snapshot',
  snapshot: { xmax: 900_719_925_474, xip: [900_719_925_000, 900_719_925_473] },
} as const
const place = { convoId: 'ab'.repeat(64), n: 12, seq: 7 }

const CURSORS: { name: string; cursor: StreamCursor }[] = [
  { name: 'the start', cursor: { ...base, since: { kind: 'start' } } },
  { name: 'a time', cursor: { ...base, since: { kind: 'time', ms: 1_700_000_000_000 } } },
  { name: 'a snapshot', cursor: { ...base, since: shown } },
  {
    name: 'a snapshot without running transactions',
    cursor: { ...base, since: { kind: 'snapshot', snapshot: { xmax: 5, xip: [] } } },
  },
  { name: 'an event', cursor: { ...base, since: shown, place } },
  {
    name: 'an event in a stream of its conversation',
    cursor: { ...base, convoId: place.convoId, since: shown, place },
  },
  {
    name: 'a row of the past',
    cursor: {
      ...base,
      since: { kind: 'start' },
      place,
      target: { snapshot: shown.snapshot, atMs: 1_795_000_000_000 },
    },
  },
]

function refusalOf(text: string): string {
  try {
    readStreamCursor(text)
    return 'none'
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error
    return error.refusal.error
  }
}

describe('cursors of streams', () => {
  it.each(CURSORS)('of $name say what they were given', ({ cursor }) => {
    const text = writeStreamCursor(cursor)
    expect(text).toMatch(/^[\w-]+$/)
    expect(isStreamCursor(text)).toBe(true)
    expect(readStreamCursor(text)).toEqual(cursor)
  })

  it('with very many running transactions say less, and stay short', () => {
    const xip = Array.from({ length: 100 }, (_, i) => 1000 + 2 * i)
    const text = writeStreamCursor({ ...base, since: { kind: 'snapshot', snapshot: { xmax: 2000, xip } } })
    const { since } = readStreamCursor(text)
    expect(since).toEqual({ kind: 'snapshot', snapshot: { xmax: xip[24], xip: xip.slice(0, 24) } })
    expect(text.length).toBeLessThan(200)
  })

  it('are refused when anything was changed into what is none', () => {
    const encode = (text: string) => Buffer.from(`1:${text}`).toString('base64url')
    const tag = base.tag
    for (const text of [
      's',
      's:xyz:0::0',
      `s:${tag}`,
      `s:${tag}:0`,
      `s:${tag}:0:`,
      `s:${tag}:-1::0`,
      `s:${tag}:0::q5`,
      `s:${tag}:0::t`,
      `s:${tag}:0::x`,
      `s:${tag}:0::x5.5`,
      `s:${tag}:0::x5.6`,
      `s:${tag}:0::x5.1.2`,
      `s:${tag}:0::x5.2.2`,
      `s:${tag}:0::x5.0`,
      `s:${tag}:0::x${['zz', ...Array.from({ length: 25 }, (_, i) => (50 - i).toString(36))].join('.')}`,
      `s:${tag}:0::x5::1:1`,
      `s:${tag}:0::x5:ab:1`,
      `s:${tag}:0::x5:ab:1:x`,
      `s:${tag}:0::x5:ab:1:1:5`,
      `s:${tag}:0::x5:ab:1:1:x5`,
      `s:${tag}:0::x5:ab:1:1:x5:zzzzzzzzz`,
      `m:${tag}:0::x5`,
      `s:${tag}:zzzzzzzzz::x5`,
      `s:${tag}:0::tzzzzzzzzz`,
      `s:${tag}:0:xyz:x5`,
      `s:${tag}:0::x5:a\0b:1:1`,
    ]) {
      expect([text, refusalOf(encode(text))]).toEqual([text, 'InvalidCursor'])
    }
    for (const text of ['', '1', 'not a cursor', 'a'.repeat(2000)])
      expect(refusalOf(text)).toBe('InvalidCursor')
  })
})
