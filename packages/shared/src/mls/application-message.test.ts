import { beforeAll, expect, it } from 'vitest'
import { readApplicationMessage } from './application-message.ts'
import { readMessageHeader } from './message-header.ts'
import { createTestConversation, type TestConversation } from './test-messages.ts'
import { join } from './test-random.ts'

let conversation: TestConversation
let message: Uint8Array
beforeAll(async () => {
  conversation = await createTestConversation()
  message = conversation.messages.find((one) => one.name === 'application message of 40 bytes')!.bytes
})

function envelope(inner: Uint8Array, padding: Uint8Array, length = inner.length): Uint8Array {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(length)
  return join(header, inner, padding)
}

it('reads a bare application message', () => {
  expect(readApplicationMessage(message)).toEqual(readMessageHeader(message))
  expect(readApplicationMessage(message)?.contentType).toBe('application')
})

it('reads one in the padding envelope, with any number of zeros', () => {
  for (const zeros of [0, 1, 2, 511, 100_000])
    expect(readApplicationMessage(envelope(message, new Uint8Array(zeros)))).toEqual(
      readMessageHeader(message),
    )
})

it('refuses an envelope with a byte other than zero behind the message', () => {
  for (const at of [0, 1, 254, 255]) {
    const padding = new Uint8Array(256)
    padding[at] = 1
    expect(readApplicationMessage(envelope(message, padding))).toBeNull()
  }
  expect(readApplicationMessage(envelope(message, Uint8Array.of(1)))).toBeNull()
})

it('refuses an envelope whose length is not that of the message', () => {
  for (const change of [-1, 1, 2 ** 31])
    expect(readApplicationMessage(envelope(message, new Uint8Array(9), message.length + change))).toBeNull()
})

it('refuses truncated messages and envelopes, and an envelope in an envelope', () => {
  const whole = envelope(message, new Uint8Array(0))
  for (let length = 0; length < whole.length; length++)
    expect(readApplicationMessage(whole.subarray(0, length))).toBeNull()
  expect(readApplicationMessage(join(message, new Uint8Array(1)))).toBeNull()
  expect(readApplicationMessage(envelope(whole, new Uint8Array(4)))).toBeNull()
})

it('refuses everything that is not an application message, bare or in the envelope', () => {
  for (const { name, bytes } of conversation.messages) {
    const isApplication = name.startsWith('application message')
    expect(readApplicationMessage(bytes) !== null, name).toBe(isApplication)
    expect(readApplicationMessage(envelope(bytes, new Uint8Array(3))) !== null, name).toBe(isApplication)
  }
})
