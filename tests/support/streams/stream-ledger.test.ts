import { describe, expect, it } from 'vitest'
import { Random } from '../../engine/random.ts'
import type { ReaderTruth } from './judge-delivery.ts'
import {
  type Connection,
  cursorAt,
  entryOf,
  events,
  info,
  isEntry,
  judge,
  lines,
  placeOf,
  truth,
} from './ledger-delivery.fixture.ts'
import { did } from './ledger-story.fixture.ts'
import { StreamLedger } from './stream-ledger.ts'
import { faultLines } from './verdict.ts'

describe('finds nothing wrong with', () => {
  it('everything in order over one connection', () => {
    const verdict = judge([{ cursor: '0', events: [...events, info('caughtUp', 'c19')] }])
    expect(faultLines(verdict)).toEqual([])
    expect(verdict).toMatchObject({ entries: 11, repeated: 0 })
  })

  it('a stream that began in the middle, also a little before where it says', () => {
    const since = [
      ['aa', 6],
      ['bb', 5],
    ] as const
    const from = placeOf('aa', 4)
    expect(faultLines(judge([{ since, events: events.slice(from) }]))).toEqual([])
    expect(faultLines(judge([{ since, events: events.slice(from - 2) }]))).toEqual([])
    expect(faultLines(judge([{ cursor: 'c11', since, events: events.slice(from) }]))).toEqual([])
  })

  it('a stream of one conversation', () => {
    const ofOne = events.filter((event) => JSON.stringify(event).includes('"convoId":"bb"'))
    expect(faultLines(judge([{ cursor: '0', events: ofOne }], { convoId: 'bb' }))).toEqual([])
  })

  it('repeats at the seam, also far back', () => {
    const half = placeOf('aa', 7)
    const verdict = judge([
      { cursor: '0', events: events.slice(0, half) },
      { cursor: cursorAt(half - 1), events: [] },
      { cursor: cursorAt(half - 1), events: events.slice(2, half + 2) },
      { cursor: cursorAt(half + 1), events: [...events.slice(half), info('caughtUp', 'c19')] },
    ])
    expect(faultLines(verdict)).toEqual([])
    expect(verdict.repeated).toBeGreaterThan(3)
  })

  it('entries that expired, whether they came or not', () => {
    const convos = structuredClone(truth.convos) as ReaderTruth['convos']
    for (const row of convos[0]!.rows) if (row.seq === 3) row.isExpired = true
    const without = events.filter((event) => !isEntry('aa', 3)(event))
    expect(faultLines(judge([{ cursor: '0', events: without }], { convos }))).toEqual([])
    expect(faultLines(judge([{ cursor: '0', events }], { convos }))).toEqual([])
  })

  it('a restore that took entries back and wrote others in their place', () => {
    const gone = structuredClone(events)
    entryOf(gone, 'aa', 8).ciphertext = { $bytes: 'AAAA' }
    entryOf(gone, 'aa', 9).sender = did('mallory')
    const survived = new Map([['aa', { n: 10, seq: 7 }]])
    const again = [info('OutdatedCursor', 'c16'), ...events.slice(placeOf('bb', 2) - 2)]
    const connections = [
      { cursor: '0', events: gone },
      { cursor: 'c19', events: again },
    ]
    expect(faultLines(judge(connections, { survived }))).toEqual([])
    expect(faultLines(judge(connections))).not.toEqual([])
  })

  it('a server that loses nothing, however often the reader comes again', () => {
    for (let seed = 0; seed < 500; seed++) {
      expect(faultLines(judge(randomConnections(new Random(seed)))), `seed ${seed}`).toEqual([])
    }
  })
})

/** A reader that goes on from one of its last cursors, and a server that begins somewhat before it. */
function randomConnections(random: Random): Connection[] {
  const connections: Connection[] = []
  let cursor = '0'
  for (let end = 0; end < events.length; ) {
    const number = Number(cursor.replace('c', ''))
    const from = lines.findIndex((line) => line >= number - random.int(4))
    end = Math.min(events.length, from + random.int(12))
    const came = events.slice(from, end)
    if (random.chance(0.5)) came.splice(random.int(came.length + 1), 0, info('heartbeat', `c${number}`))
    if (end === events.length) came.push(info('caughtUp', 'c19'))
    connections.push({ cursor, events: came })
    const had = came.map((event) => event.cursor)
    if (had.length > 0) cursor = random.chance(0.7) ? had.at(-1)! : random.pick(had.slice(-5))
  }
  return connections
}

describe('demands', () => {
  it('to be told where a reader begins, and from which cursor it goes on', () => {
    const ledger = new StreamLedger()
    expect(() => ledger.received(events[0]!)).toThrow('before the first connection')
    expect(() => ledger.connected()).toThrow('where it begins')
    expect(() => ledger.connected('c3')).toThrow('where it begins')
    ledger.connected(undefined, [])
    expect(() => ledger.connected()).toThrow('go on from a cursor')
    expect(() => ledger.connected('c3', [])).toThrow('go on from a cursor')
    ledger.connected('c3')
    expect(() => ledger.judge(truth)).toThrow('never got')
  })
})
