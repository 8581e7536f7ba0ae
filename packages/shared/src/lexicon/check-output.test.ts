import { expect, test } from 'vitest'
import { encodeBytes } from '../lexicon.ts'
import { assertOutput } from './check-output.ts'

const MESSAGES = 'blue.catbird.mls.getMessages'
const message = {
  id: 'm',
  convoId: 'aa',
  sender: 'did:plc:alice',
  ciphertext: encodeBytes(new Uint8Array([251, 255])),
  epoch: 1,
  seq: 1,
  createdAt: '2026-01-02T03:04:05.678Z',
}
const withMessage = (change: object) => () =>
  assertOutput(MESSAGES, { messages: [{ ...message, ...change }] })

test('bytes go out in the standard alphabet with padding', () => {
  expect(encodeBytes(new Uint8Array([251, 255]))).toEqual({ $bytes: '+/8=' })
  expect(encodeBytes(new Uint8Array())).toEqual({ $bytes: '' })
})

test('accepts an output in wire form', () => {
  withMessage({ messageType: 'app', embedType: undefined, logHash: 'a'.repeat(64) })()
  withMessage({ ciphertext: { $bytes: '' } })()
  assertOutput('blue.catbird.mls.publishKeyPackage', {})
  assertOutput('blue.catbird.mls.getWelcome', { convoId: 'aa', welcome: '+/8=' })
})

test.each([
  ['unpadded bytes', { ciphertext: { $bytes: '+/8' } }, /base64/],
  ['the URL alphabet', { ciphertext: { $bytes: '-_8=' } }, /base64/],
  ['bytes as a plain string', { ciphertext: '+/8=' }, /\$bytes/],
  ['null for an absent field', { embedType: null }, /embedType/],
  ['an undeclared field', { colour: 'red' }, /colour is not in the lexicon/],
  ['a time without milliseconds', { createdAt: '2026-01-02T03:04:05Z' }, /milliseconds/],
  ['a time that does not exist', { createdAt: '2026-13-02T03:04:05.000Z' }, /createdAt/],
  ['a missing field', { sender: undefined }, /sender/],
  ['a string for a number', { seq: '1' }, /seq/],
])('refuses %s', (_, change, reason) => {
  expect(withMessage(change)).toThrow(reason)
})

test('refuses base64 text in another form', () => {
  const welcome = (text: string) => () =>
    assertOutput('blue.catbird.mls.getWelcome', { convoId: 'aa', welcome: text })
  expect(welcome('+/8')).toThrow(/base64/)
  expect(welcome('-_8=')).toThrow(/base64/)
})

test('refuses an output that is no object', () => {
  expect(() => assertOutput(MESSAGES, null)).toThrow()
  expect(() => assertOutput(MESSAGES, [])).toThrow()
})
