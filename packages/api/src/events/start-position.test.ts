import { describe, expect, it } from 'vitest'
import { isFuture, startPosition } from './start-position.ts'
import { writeStreamCursor } from './stream-cursor.ts'

const LIFE = { incarnation: 2, tag: '0123456789ab' }
const MINUTE_MS = 60_000
const atMs = 1_795_000_000_000
const since = { kind: 'snapshot', snapshot: { xmax: 100, xip: [90] } } as const
const cursor = (more = {}) => writeStreamCursor({ tag: LIFE.tag, atMs, convoId: undefined, since, ...more })
const start = (text: string | undefined, convoId?: string, oldestMs = 0) =>
  startPosition(text, LIFE, convoId, oldestMs)

describe('a stream begins', () => {
  it('now without a cursor, and with 0 at the start', () => {
    expect(start(undefined)).toEqual({ position: undefined, isOutdated: false })
    expect(start('')).toEqual({ position: undefined, isOutdated: false })
    expect(start('0')).toEqual({ position: { since: { kind: 'start' }, atMs: 0 }, isOutdated: false })
  })

  it('where its cursor says, of a part or of the same stream', () => {
    expect(start(cursor())).toEqual({ position: { since, atMs }, isOutdated: false })
    expect(start(cursor(), 'ab')).toEqual({ position: { since, atMs }, isOutdated: false })
    expect(start(cursor({ convoId: 'ab' }), 'ab')).toEqual({ position: { since, atMs }, isOutdated: false })
  })

  it('nowhere with the cursor of a stream that had less', () => {
    expect(() => start(cursor({ convoId: 'ab' }))).toThrow('InvalidCursor')
    expect(() => start(cursor({ convoId: 'ab' }), 'cd')).toThrow('InvalidCursor')
  })

  it('five minutes before a cursor of another life of the database, which it says', () => {
    expect(start(cursor({ tag: 'ffffffffffff' }))).toEqual({
      position: { since: { kind: 'time', ms: atMs - 5 * MINUTE_MS }, atMs: atMs - 5 * MINUTE_MS },
      isOutdated: true,
    })
  })

  it('behind a gap when messages since its cursor have expired, which it says', () => {
    expect(start(cursor(), undefined, atMs - 1).isOutdated).toBe(false)
    expect(start(cursor(), undefined, atMs + 1).isOutdated).toBe(true)
  })

  it('as far back as a cursor goes that has no time', () => {
    const early = cursor({ tag: 'ffffffffffff', since: { kind: 'start' }, atMs: 0 })
    expect(start(early).position).toEqual({ since: { kind: 'time', ms: 0 }, atMs: 0 })
    expect(start(cursor({ since: { kind: 'start' }, atMs: 0 }), undefined, atMs).isOutdated).toBe(false)
  })

  it('not in the future', () => {
    const shown = { since, atMs }
    expect(isFuture(shown, 100)).toBe(false)
    expect(isFuture(shown, 99)).toBe(true)
    expect(isFuture({ since: { kind: 'start' }, atMs: 0 }, 1)).toBe(false)
    const place = { convoId: 'ab', n: 1, seq: 1 }
    expect(isFuture({ ...shown, place, target: { snapshot: { xmax: 101, xip: [] }, atMs } }, 100)).toBe(true)
  })
})
