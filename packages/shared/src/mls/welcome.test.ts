import { beforeAll, expect, it } from 'vitest'
import { hex } from '../bytes.ts'
import { createTestConversation, type TestConversation } from './test-messages.ts'
import { join } from './test-random.ts'
import { keyPackageRef } from './verify-key-package.ts'
import { readWelcome } from './welcome.ts'

const suite = 'MLS_256_DHKEMP521_AES256GCM_SHA512_P521'
let conversation: TestConversation
beforeAll(async () => {
  conversation = await createTestConversation(suite)
})

it('names the key packages that it welcomes, wrapped and bare', async () => {
  const refs = await Promise.all(conversation.welcomed.map(({ bytes }) => keyPackageRef(bytes, suite)))
  for (const bytes of [conversation.welcome, conversation.welcome.subarray(4)]) {
    const welcome = readWelcome(bytes)
    expect(welcome?.cipherSuite).toBe(5)
    expect(welcome?.newMembers.map(hex)).toEqual(refs)
    expect(welcome?.newMembers[0]?.buffer).toBe(bytes.buffer)
  }
})

it('refuses truncated ones, trailing bytes and other messages', () => {
  for (const bytes of [conversation.welcome, conversation.welcome.subarray(4)]) {
    for (let length = 0; length < bytes.length; length++)
      expect(readWelcome(bytes.subarray(0, length))).toBeNull()
    expect(readWelcome(join(bytes, new Uint8Array(1)))).toBeNull()
  }
  for (const { name, bytes } of conversation.messages) expect(readWelcome(bytes), name).toBeNull()
  expect(readWelcome(conversation.welcomed[0]!.bytes)).toBeNull()
})

it('refuses the wire format of another object', () => {
  for (const wireFormat of [1, 2, 4, 5])
    expect(readWelcome(join(Uint8Array.of(0, 1, 0, wireFormat), conversation.welcome.subarray(4)))).toBeNull()
})

it('refuses one that welcomes nobody', () => {
  expect(readWelcome(Uint8Array.of(0, 1, 0, 2, 7, 7))).toBeNull()
  expect(readWelcome(Uint8Array.of(0, 1, 0, 3, 0, 1, 0, 2, 7, 7))).toBeNull()
  expect(readWelcome(Uint8Array.of(0, 1, 3, 0, 0, 0, 2, 7, 7))).toMatchObject({
    newMembers: [new Uint8Array(0)],
  })
})
