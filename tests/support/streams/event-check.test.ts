import { describe, expect, it } from 'vitest'
import { checkEvent } from './event-check.ts'

const cursor = 'MTpzOjE_-'
const convoId = '0123456789abcdef'
const message = {
  id: 'one',
  convoId,
  sender: 'did:plc:alice',
  ciphertext: { $bytes: 'AQI=' },
  epoch: 0,
  seq: 1,
  createdAt: '2026-11-24T11:22:33.444Z',
  messageType: 'app',
  logHash: 'ab'.repeat(32),
}
const EVENTS = {
  message: { type: 'messageEvent', cursor, message },
  embed: { type: 'messageEvent', cursor, message: { ...message, embedType: 'x', embedUri: 'https://a.b/c' } },
  membership: { type: 'membershipEvent', cursor, convoId, did: 'did:plc:bob', action: 'joined', seq: 0 },
  welcome: { type: 'welcomeEvent', cursor, convoId },
  ephemeral: {
    type: 'ephemeralEvent',
    cursor,
    convoId,
    sender: 'did:plc:bob',
    ciphertext: { $bytes: '' },
    epoch: 3,
  },
  info: { type: 'infoEvent', cursor, info: 'heartbeat' },
  ended: { type: 'infoEvent', cursor, info: 'membershipEnded', convoId },
} as const

it.each(Object.entries(EVENTS))('accepts an event: %s', (_name, event) => {
  expect(checkEvent(event)).toBe(event)
})

it('misses every field that belongs there', () => {
  for (const event of Object.values(EVENTS)) {
    for (const field of Object.keys(event)) {
      expect(() => checkEvent({ ...event, [field]: undefined }), `${event.type} ${field}`).toThrow()
    }
  }
  for (const field of Object.keys(message)) {
    expect(() => checkEvent(withMessage({ [field]: undefined })), field).toThrow()
  }
})

it('finds every field that does not belong there', () => {
  for (const event of Object.values(EVENTS)) {
    expect(() => checkEvent({ ...event, more: 1 }), event.type).toThrow('not in the lexicon')
  }
  expect(() => checkEvent(withMessage({ expiresAt: '' }))).toThrow('not in the lexicon')
})

describe('refuses', () => {
  it.each([
    ['what is no object', null],
    ['an unknown type', { ...EVENTS.info, type: 'noEvent' }],
    ['a full type', { ...EVENTS.info, type: 'blue.catbird.mls.streamConvoEvents#infoEvent' }],
    ['a typing event', { type: 'typingEvent', cursor, convoId, did: 'did:plc:bob', isTyping: true }],
    ['an empty cursor', { ...EVENTS.info, cursor: '' }],
    ['a cursor that is a number', { ...EVENTS.info, cursor: 1 }],
    ['a cursor that a URL changes', { ...EVENTS.info, cursor: 'a+b' }],
    ['an unknown action', { ...EVENTS.membership, action: 'fled' }],
    ['an unknown info', { ...EVENTS.info, info: 'hello' }],
    ['a DID that is none', { ...EVENTS.membership, did: 'bob' }],
    ['a negative seq', { ...EVENTS.membership, seq: -1 }],
    ['a heartbeat of a conversation', { ...EVENTS.info, convoId }],
    ['null for what is absent', withMessage({ embedType: null })],
    ['an unknown kind of message', withMessage({ messageType: 'reaction' })],
    ['seq 0', withMessage({ seq: 0 })],
    ['a seq that is text', withMessage({ seq: '1' })],
    ['a time without milliseconds', withMessage({ createdAt: '2026-11-24T11:22:33Z' })],
    ['a time with an offset', withMessage({ createdAt: '2026-11-24T11:22:33.444+00:00' })],
    ['a hash in capitals', withMessage({ logHash: 'AB'.repeat(32) })],
    ['a short hash', withMessage({ logHash: 'ab' })],
    ['bytes without padding', withMessage({ ciphertext: { $bytes: 'AQI' } })],
    ['bytes in the alphabet of URLs', withMessage({ ciphertext: { $bytes: '-_8=' } })],
    ['bytes that are text', withMessage({ ciphertext: 'AQI=' })],
    ['bytes with more in them', withMessage({ ciphertext: { $bytes: 'AQI=', more: 1 } })],
  ])('%s', (_name, event) => {
    expect(() => checkEvent(event)).toThrow()
  })
})

function withMessage(change: Record<string, unknown>) {
  return { ...EVENTS.message, message: { ...message, ...change } }
}
