import type { MessageView } from '@catbird/shared/lexicon/types'
import { expect, it } from 'vitest'
import { wire } from './client.ts'
import { chainOf } from './log-chain.ts'
import { LogPosition } from './log-position.ts'

const CONVO_ID = '0123456789abcdef'

function log(...texts: string[]): MessageView[] {
  const messages = texts.map((text, index): MessageView => {
    const ciphertext = wire(Buffer.from(text))
    const common = { convoId: CONVO_ID, sender: 'did:plc:alice', createdAt: '', messageType: 'app' as const }
    return { ...common, id: text, ciphertext, epoch: 1, seq: index + 1 }
  })
  const hashes = chainOf(CONVO_ID, messages)
  return messages.map((message, index) => ({ ...message, logHash: hashes[index] }))
}

it('follows a log that is whole', () => {
  const messages = log('one', 'two', 'three')
  const position = LogPosition.beforeFirst(CONVO_ID)
  for (const message of messages) position.read(message)
  expect({ seq: position.seq, logHash: position.logHash }).toEqual({ seq: 3, logHash: messages[2]!.logHash })
})

it('begins at an entry and checks the following ones', () => {
  const [, second, third] = log('one', 'two', 'three')
  const position = LogPosition.at({ seq: second!.seq, logHash: second!.logHash! })
  position.read(third!)
  expect(position.seq).toBe(3)
})

it('refuses a hole, a repetition, a changed entry and another history', () => {
  const [first, second, third] = log('one', 'two', 'three')
  const position = LogPosition.beforeFirst(CONVO_ID)
  position.read(first!)
  expect(() => position.read(third!)).toThrow('entry 3 came after entry 1')
  expect(() => position.read(first!)).toThrow('entry 1 came after entry 1')
  expect(() => position.read({ ...second!, sender: 'did:plc:mallory' })).toThrow('entry 2: computed')
  expect(() => position.read(log('other', 'two')[1]!)).toThrow('entry 2: computed')
  position.read(second!)
})

it('refuses an entry with another hash than the server promised', () => {
  const position = LogPosition.beforeFirst(CONVO_ID)
  position.promise({ seq: 1, logHash: log('other')[0]!.logHash })
  expect(() => position.read(log('one')[0]!)).toThrow('was promised')
})
