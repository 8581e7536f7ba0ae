import type { Command } from '@catbird/shared/commands'
import { describe, expect, it } from 'vitest'
import { NO_FACTS } from './facts.ts'
import { commit, create, leave, Story, send } from './story.fixture.ts'

const key = { key: 'k', contentHash: 'h' }
const answer = { answered: 'before' }

/** `command` under a key whose first use was answered. */
function repeated(command: Command, contentHash = 'h'): [Command, Story['facts']] {
  return [
    { ...command, idempotency: { ...key, contentHash } },
    { ...NO_FACTS, record: { contentHash: 'h', answer } },
  ]
}

describe('a command with an idempotency key', () => {
  const story = new Story(create('alice', ['bob', 'carol']), commit('alice', 0), leave('bob'))

  it.each<[string, Command]>([
    ['a member', send('alice', 1)],
    ['a member in an old epoch', send('alice', 0)],
    ['one who has left', send('bob', 1)],
    ['one who has left, whose commit is stale', commit('bob', 0)],
    ['one who left by it', leave('bob')],
    ['the creator of what exists by now', create('alice')],
  ])('of %s is answered again what it was answered', (_, command) => {
    const [again, facts] = repeated(command)
    story.facts = facts
    expect(story.decide(again)).toEqual({ outcome: 'repeated', answer })
  })

  it('is refused when the content is another', () => {
    const [other, facts] = repeated(send('alice', 1), 'other')
    story.facts = facts
    expect(story.refuse(other).error).toBe('IdempotencyConflict')
  })

  it('records its answer for 24 hours', () => {
    story.facts = NO_FACTS
    const { change, answer } = story.accept({ ...send('alice', 1), idempotency: key })
    const expiresAtMs = story.nowMs + 86_400_000
    expect(change.record).toEqual({ caller: 'alice', method: 'sendMessage', ...key, answer, expiresAtMs })
    expect(story.accept(send('alice', 1)).change.record).toBeUndefined()
  })
})
