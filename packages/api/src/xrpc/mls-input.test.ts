import { hex, sha256Hex } from '@catbird/shared/bytes'
import { RefusalError } from '@catbird/shared/errors'
import { createTestConversation, type TestConversation } from '@catbird/shared/mls/test-messages'
import { beforeAll, describe, expect, it } from 'vitest'
import { craftApplicationMessage, craftCommit } from '../../../../tests/support/frames.ts'
import { checkApplicationMessage, readCommit, readWelcomeInput } from './mls-input.ts'

const groupId = Buffer.from('0a0b', 'hex')
const convoId = '0a0b'
const commit = craftCommit({ groupId, epoch: 7 })
const ciphertext = craftApplicationMessage({ groupId, epoch: 7 })
const noise = Buffer.from('noise')

let real: TestConversation
beforeAll(async () => {
  real = await createTestConversation()
})
const bytesOf = (name: string) => real.messages.find((message) => message.name === name)!.bytes

/** The refusal that a function throws. */
function refusalOf(run: () => unknown) {
  try {
    run()
  } catch (error) {
    if (error instanceof RefusalError) return error.refusal
    throw error
  }
  return undefined
}

describe('readCommit', () => {
  it('answers the epoch that the commit ends by its own header', () => {
    const input = { bytes: commit, sha256: sha256Hex(commit), epoch: 7 }
    expect(readCommit('strict', { convoId, commit })).toEqual(input)
    expect(readCommit('strict', { convoId, commit, epoch: 7 })).toEqual(input)
    expect(readCommit('strict', { convoId })).toBeUndefined()
  })

  it('refuses another epoch beside it', () => {
    expect(refusalOf(() => readCommit('strict', { convoId, commit, epoch: 8 }))).toMatchObject({
      error: 'InvalidCommit',
      details: { epoch: 8, commitEpoch: 7 },
    })
  })

  it('refuses a commit of another group', () => {
    const refusal = refusalOf(() => readCommit('strict', { convoId: '0a0c', commit }))
    expect(refusal?.error).toBe('InvalidCommit')
  })

  it('takes commits of members in the open and nothing else', () => {
    const read = (name: string) => () =>
      readCommit('strict', { convoId: hex(real.groupId), commit: bytesOf(name) })
    expect(refusalOf(read('public commit that adds'))).toBeUndefined()
    for (const name of [
      'public proposal',
      'private proposal',
      'external commit',
      'application message of 40 bytes',
    ])
      expect(refusalOf(read(name))?.error, name).toBe('InvalidCommit')
  })

  it('takes opaque bytes with validation off, and the epoch beside them', () => {
    const input = { bytes: noise, sha256: sha256Hex(noise) }
    expect(refusalOf(() => readCommit('strict', { convoId, commit: noise }))?.error).toBe('InvalidCommit')
    expect(readCommit('off', { convoId, commit: noise, epoch: 3 })).toEqual({ ...input, epoch: 3 })
    expect(readCommit('off', { convoId, commit: noise })).toEqual({ ...input, epoch: undefined })
  })
})

describe('checkApplicationMessage', () => {
  const check = (more: object) =>
    refusalOf(() => checkApplicationMessage('strict', { convoId, ciphertext, epoch: 7, ...more }))

  it('takes a message of this group in the epoch given', () => {
    expect(check({})).toBeUndefined()
  })

  it.each([
    ['of another group', { convoId: '0a0c' }],
    ['of another epoch', { epoch: 8 }],
    ['that is a commit', { ciphertext: commit }],
    ['that is none', { ciphertext: noise }],
  ])('refuses one %s', (_, more) => {
    expect(check(more)?.error).toBe('InvalidMessage')
  })

  it('takes anything with validation off', () => {
    checkApplicationMessage('off', { convoId, ciphertext: noise, epoch: 7 })
  })
})

describe('readWelcomeInput', () => {
  it('answers whom a Welcome is for, and refuses what is none unless validation is off', () => {
    expect(readWelcomeInput('strict', real.welcome)?.newMembers?.length).toBeGreaterThan(0)
    expect(refusalOf(() => readWelcomeInput('strict', noise))?.error).toBe('InvalidWelcome')
    expect(readWelcomeInput('off', noise)).toEqual({ bytes: noise, newMembers: undefined })
    expect(readWelcomeInput('strict', undefined)).toBeUndefined()
  })
})
