import { describe, expect, it } from 'vitest'
import type { StreamEvent } from './event-check.ts'
import {
  cursorAt,
  doctored,
  entryOf,
  events,
  info,
  judge,
  placeOf,
  truth,
} from './ledger-delivery.fixture.ts'
import { did } from './ledger-story.fixture.ts'
import { faultLines } from './verdict.ts'

describe('finds', () => {
  it('every single event that was left out', () => {
    for (const [index, event] of events.entries()) {
      // Of a Welcome nothing but the bytes is the server's word; the reader's own changes are no news to it.
      if (event.type === 'welcomeEvent' || ('did' in event && event.did === truth.did)) continue
      const found = doctored((copy) => copy.splice(index, 1))
      expect(found.join(), `${index}`).toMatch(/missed/)
    }
    expect(doctored((copy) => copy.splice(0))).toHaveLength(3)
  })

  it('an entry that was left out, and the gap', () => {
    expect(doctored((copy) => copy.splice(placeOf('aa', 2), 1))).toEqual([
      '1 missed: aa/2',
      '1 gaps: aa/2 (before 3)',
    ])
  })

  it('the last entry of a conversation', () => {
    expect(doctored((copy) => copy.splice(placeOf('bb', 5), 1))).toEqual(['1 missed: bb/5'])
  })

  it('a change that was left out', () => {
    const isDave = (event: StreamEvent) => event.type === 'membershipEvent' && event.did === did('dave')
    expect(doctored((copy) => copy.splice(copy.findIndex(isDave), 1))).toEqual([
      '1 missedChanges: aa/2 (did:plc:dave joined)',
    ])
  })

  it('an end of the own membership that was not told', () => {
    const isEnd = (event: StreamEvent) => event.type === 'infoEvent'
    expect(doctored((copy) => copy.splice(copy.findIndex(isEnd), 1))).toEqual(['1 missedEnds: aa/4'])
  })

  it('the end of a membership that goes on', () => {
    const ended: StreamEvent = { type: 'infoEvent', cursor: 'c19', info: 'membershipEnded', convoId: 'bb' }
    expect(doctored((copy) => copy.push(ended))).toEqual(['1 unreadable: bb/5 (membershipEnded of a member)'])
  })

  it('two entries in the wrong order', () => {
    const swapped = doctored((copy) => {
      const [first, second] = [placeOf('aa', 8), placeOf('aa', 9)]
      ;[copy[first], copy[second]] = [copy[second]!, copy[first]!]
    })
    expect(swapped).toEqual(['1 outOfOrder: aa/8', '1 gaps: aa/8 (before 9)'])
  })

  it('an entry that comes after a later one, on the next connection', () => {
    const place = placeOf('bb', 3)
    const first = events.filter((_event, index) => index !== place)
    const verdict = judge([
      { cursor: '0', events: first },
      { cursor: 'c19', events: [events[place]!] },
    ])
    expect(faultLines(verdict)).toEqual(['1 outOfOrder: bb/3', '1 gaps: bb/3 (before 4)'])
  })

  it('a change before the entries that it followed', () => {
    const moved = doctored((copy) => {
      const index = copy.findIndex((event) => event.type === 'membershipEvent' && event.action === 'left')
      copy.splice(placeOf('aa', 1), 0, ...copy.splice(index, 1))
    })
    expect(moved).toEqual([expect.stringMatching(/^3 outOfOrder: aa\/1, aa\/2, aa\/2/)])
  })

  it('a gap on one connection although the entry had come on another', () => {
    const first = placeOf('aa', 9) + 1
    const again = [...events.slice(placeOf('aa', 7), placeOf('aa', 8)), events[placeOf('aa', 9)]!]
    const verdict = judge([
      { cursor: '0', events: events.slice(0, first) },
      { cursor: cursorAt(placeOf('aa', 7) - 1), events: again },
    ])
    expect(faultLines(verdict)).toEqual(['1 gaps: aa/8 (before 9)'])
  })

  it('a connection that begins after what its cursor had', () => {
    const verdict = judge([
      { cursor: '0', events },
      { cursor: cursorAt(placeOf('bb', 4)), events: [events.at(-1)!] },
    ])
    expect(faultLines(verdict)).toEqual(['2 gaps: aa/7 (before 9), aa/8 (before 9)'])
  })

  it('a connection that says it has caught up and has not', () => {
    const verdict = judge([
      { cursor: '0', events },
      { cursor: cursorAt(placeOf('bb', 4)), events: [info('caughtUp', 'c19')] },
    ])
    expect(faultLines(verdict)).toEqual([
      '4 gaps: aa/7 (caught up), aa/8 (caught up), aa/9 (caught up), bb/5 (caught up)',
    ])
  })

  it('a cursor that claims more than was had', () => {
    const [before, after] = [placeOf('aa', 3), placeOf('bb', 2)]
    const early = structuredClone(events.slice(0, before))
    early.at(-1)!.cursor = cursorAt(before)
    const verdict = judge([
      { cursor: '0', events: early },
      { cursor: cursorAt(before), events: events.slice(after) },
    ])
    expect(faultLines(verdict)).toEqual(['1 missed: aa/3', '1 gaps: aa/3 (before 4)'])
  })

  it.each([
    ['bytes', { ciphertext: { $bytes: 'AAAA' } }],
    ['bytes', { ciphertext: { $bytes: '' } }],
    ['sender', { sender: did('mallory') }],
    ['epoch', { epoch: 7 }],
    ['logHash', { logHash: 'ab'.repeat(32) }],
    ['messageType', { messageType: 'commit' as const }],
  ])('an entry with other %s', (field, change) => {
    expect(doctored((copy) => Object.assign(entryOf(copy, 'aa', 3), change))).toEqual([
      `1 altered: aa/3 (${field})`,
    ])
  })

  it('an entry and a change that the log does not have', () => {
    const entry = structuredClone(events[placeOf('bb', 5)]!)
    if (entry.type === 'messageEvent') entry.message.seq = 6
    expect(doctored((copy) => copy.push(entry))).toEqual(['1 altered: bb/6 (not in the log)'])
    const change: StreamEvent = {
      type: 'membershipEvent',
      cursor: 'c19',
      convoId: 'bb',
      did: did('mallory'),
      action: 'joined',
      seq: 5,
    }
    expect(doctored((copy) => copy.push(change))).toEqual(['1 altered: bb/5 (joined: not in the log)'])
  })

  it('an entry and a change of a time when the reader was no member', () => {
    const removed = placeOf('aa', 4)
    const [inBetween] = structuredClone(events.slice(removed))
    if (inBetween?.type === 'messageEvent') inBetween.message.seq = 5
    expect(doctored((copy) => copy.splice(placeOf('aa', 7), 0, inBetween!)).join('\n')).toMatch(
      /1 unreadable: aa\/5/,
    )
    const erin: StreamEvent = {
      type: 'membershipEvent',
      cursor: 'c15',
      convoId: 'aa',
      did: did('erin'),
      action: 'joined',
      seq: 6,
    }
    expect(doctored((copy) => copy.splice(placeOf('aa', 7), 0, erin))).toEqual([
      '1 unreadable: aa/6 (joined)',
    ])
  })

  it('events of a conversation that the reader is no member of, or did not ask for', () => {
    expect(faultLines(judge([{ cursor: '0', events }], { convos: [truth.convos[0]!] }))).toEqual([
      '5 unreadable: bb/2, bb/2 (joined), bb/3, bb/4, bb/5',
    ])
    expect(faultLines(judge([{ cursor: '0', events }], { convoId: 'aa' }))).toHaveLength(1)
  })

  it('something ephemeral after the own removal', () => {
    const ephemeral: StreamEvent = {
      type: 'ephemeralEvent',
      cursor: 'c12',
      convoId: 'aa',
      sender: did('alice'),
      ciphertext: { $bytes: '' },
      epoch: 1,
    }
    const end = events.findIndex((event) => event.type === 'infoEvent')
    expect(doctored((copy) => copy.splice(end + 1, 0, ephemeral))).toEqual(['1 unreadable: aa/4 (ephemeral)'])
    expect(doctored((copy) => copy.splice(end, 0, ephemeral))).toEqual([])
    expect(doctored((copy) => copy.push(ephemeral))).toEqual([])
  })

  it('a repeat on the same connection', () => {
    const twice = doctored((copy) => copy.splice(placeOf('aa', 3), 0, copy[placeOf('aa', 2)]!))
    expect(twice).toEqual(['1 outOfOrder: aa/2', '1 repeats: aa/2'])
    const change = events.findIndex((event) => event.type === 'membershipEvent' && event.action === 'left')
    expect(doctored((copy) => copy.splice(change, 0, copy[change]!))).toEqual(['1 repeats: aa/2 (left)'])
  })

  it('a repeat after the first new entry', () => {
    const [first, second] = [placeOf('aa', 2), placeOf('aa', 3)]
    const verdict = judge([
      { cursor: '0', events: events.filter((_event, index) => index !== first && index <= second) },
      { cursor: 'c3', events: events.slice(first) },
    ])
    expect(faultLines(verdict)).toEqual([
      '1 outOfOrder: aa/2',
      '1 gaps: aa/2 (before 3)',
      '3 repeats: aa/2 (joined), aa/2 (left), aa/3',
    ])
  })

  it('a connection that begins far before its cursor', () => {
    const connections = [
      { cursor: '0', events },
      { cursor: 'c19', events: events.slice(placeOf('aa', 8)) },
    ]
    expect(faultLines(judge(connections))).toEqual([])
    const again = events.slice(placeOf('aa', 8)).filter(({ type }) => type === 'messageEvent').length
    expect(again).toBeGreaterThan(1)
    expect(faultLines(judge(connections, { maxAgain: again }))).toEqual([])
    expect(faultLines(judge(connections, { maxAgain: again - 1 }))).toEqual([
      expect.stringMatching(/^1 repeats: aa\/9 \(more than \d again\)$/),
    ])
  })

  it('what a restored database has and the reader never got again', () => {
    const survived = new Map([
      ['aa', { n: 10, seq: 7 }],
      ['bb', { n: 7, seq: 5 }],
    ])
    const again = [info('OutdatedCursor', 'c16'), ...events.slice(placeOf('aa', 7), -1)]
    const connections = [
      { cursor: '0', events },
      { cursor: 'c19', events: again },
    ]
    expect(faultLines(judge(connections, { survived }))).toEqual(['1 missed: aa/9'])
  })
})
