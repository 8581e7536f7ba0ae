import { expect, it } from 'vitest'
import { NO_FACTS } from '../conversation/facts.ts'
import { create, leave, Story, send } from '../conversation/story.fixture.ts'

const answer = { messageId: 'm', seq: 1 }
const message = { id: 'm', contentHash: 'h' }

/** A conversation where alice stored the message `m`. */
function withMessage(): Story {
  const story = new Story(create('alice', ['bob', 'carol']), leave('carol'))
  story.facts = { ...NO_FACTS, message: { sender: 'alice', contentHash: 'h', answer } }
  return story
}

it('answers the same message again what it was answered, whatever the epoch', () => {
  for (const epoch of [0, 9]) {
    expect(withMessage().decide(send('alice', epoch, { message }))).toEqual({ outcome: 'repeated', answer })
  }
})

it('refuses the id of a message to other content and to another sender', () => {
  const other = send('alice', 0, { message: { ...message, contentHash: 'other' } })
  expect(withMessage().refuse(other).error).toBe('IdempotencyConflict')
  expect(withMessage().refuse(send('bob', 0, { message })).error).toBe('IdempotencyConflict')
})

it('tells who has left from strangers, who do not learn what exists', () => {
  expect(withMessage().refuse(send('carol', 0)).error).toBe('NotMember')
  expect(withMessage().refuse(send('mallory', 0)).error).toBe('ConvoNotFound')
  expect(new Story().refuse(send('alice', 0)).error).toBe('ConvoNotFound')
})

it('knows by the facts who had left before the state was read', () => {
  const story = new Story(create('alice'))
  story.facts = { ...NO_FACTS, formerMembers: ['bob'] }
  expect(story.refuse(send('bob', 0)).error).toBe('NotMember')
})

it('answers the id, else the entry id, with seq, epoch and log hash', () => {
  const story = new Story(create('alice'))
  const first = story.accept(send('alice', 0, { message }))
  expect(first.answer).toMatchObject({ messageId: 'm', seq: 1, epoch: 0, logHash: story.state!.logHash })
  const { answer, change } = story.accept(send('alice', 0))
  expect(answer.messageId).toBe(change.entryId)
})
