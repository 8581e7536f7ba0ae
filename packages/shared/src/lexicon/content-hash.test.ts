import { expect, test } from 'vitest'
import { parseInput } from '../lexicon.ts'
import { contentHash } from './content-hash.ts'

const SEND = 'blue.catbird.mls.sendMessage'
const ADD = 'blue.catbird.mls.addMembers'
const CREATE = 'blue.catbird.mls.createConvo'
const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'
const send = { convoId: 'aa', ciphertext: '+/+/', epoch: 1 }

const sendHash = (json: object) => contentHash(SEND, parseInput(SEND, json))
const addHash = (json: object) =>
  contentHash(ADD, parseInput(ADD, { convoId: 'aa', didList: ['did:plc:alice'], ...json }))
const createHash = (json: object) =>
  contentHash(CREATE, parseInput(CREATE, { groupId: 'aa', cipherSuite: SUITE, ...json }))

test('is a lower-case hex SHA-256', () => {
  expect(sendHash(send)).toMatch(/^[0-9a-f]{64}$/)
})

test.each([
  ['bytes in an object', { ciphertext: { $bytes: '+/+/' } }],
  ['the other alphabet', { ciphertext: '-_-_' }],
  ['an idempotency key', { idempotencyKey: 'k' }],
  ['an unknown key', { colour: 'red' }],
])('%s does not change it', (_, change) => {
  expect(sendHash({ ...send, ...change })).toBe(sendHash(send))
})

test('padding, aliases and the order of keys do not change it', () => {
  expect(sendHash({ epoch: 1, ciphertext: 'AAE', convo_id: 'aa' })).toBe(
    sendHash({ convoId: 'aa', ciphertext: 'AAE=', epoch: 1 }),
  )
  expect(sendHash({ ...send, epoch: -0 })).toBe(sendHash({ ...send, epoch: 0 }))
  expect(createHash({ metadata: { description: 'd', name: 'n', x: 1 } })).toBe(
    createHash({ metadata: { name: 'n', description: 'd' } }),
  )
})

test.each([
  ['another conversation', { convoId: 'ab' }],
  ['other bytes', { ciphertext: '+/+8' }],
  ['another epoch', { epoch: 2 }],
  ['an empty optional field', { embedType: '' }],
  ['a field more', { msgId: 'm' }],
])('%s changes it', (_, change) => {
  expect(sendHash({ ...send, ...change })).not.toBe(sendHash(send))
})

test('the same value in another field changes it', () => {
  expect(sendHash({ ...send, msgId: 'm' })).not.toBe(sendHash({ ...send, embedType: 'm' }))
  expect(createHash({ metadata: { name: 'm' } })).not.toBe(createHash({ metadata: { description: 'm' } }))
})

test('bytes that move across the border of two fields change it', () => {
  const [a, b, c] = ['AAEC', 'AwQF', 'AAECAwQF']
  const hashes = [
    addHash({ commit: a, welcomeMessage: b }),
    addHash({ commit: b, welcomeMessage: a }),
    addHash({ commit: c }),
    addHash({ welcomeMessage: c }),
  ]
  expect(new Set(hashes).size).toBe(hashes.length)
})

test('an empty list or object differs from none, and order counts in lists', () => {
  const hashes = [
    createHash({}),
    createHash({ initialMembers: [] }),
    createHash({ keyPackageHashes: [] }),
    createHash({ metadata: {} }),
    createHash({ initialMembers: ['did:plc:a', 'did:plc:b'] }),
    createHash({ initialMembers: ['did:plc:b', 'did:plc:a'] }),
  ]
  expect(new Set(hashes).size).toBe(hashes.length)
})

test('the method is part of it', () => {
  const input = { convoId: 'aa' }
  expect(contentHash('blue.catbird.mls.leaveConvo', input)).not.toBe(contentHash(ADD, input))
})
