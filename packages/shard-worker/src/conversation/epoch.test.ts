import { describe, expect, it } from 'vitest'
import { add, commit, commitOf, create, Story, send } from './story.fixture.ts'

const untracked = () => new Story(create('alice', ['bob'], { epoch: undefined }))

describe('a commit', () => {
  it('is accepted iff it ends the current epoch', () => {
    const story = new Story(create('alice', ['bob'], { epoch: 3 }))
    for (const epoch of [0, 2, 4, 5]) {
      expect(story.refuse(commit('alice', epoch))).toMatchObject({
        error: 'EpochMismatch',
        details: { serverEpoch: 3, expectedEpoch: epoch },
      })
    }
    expect(story.accept(commit('alice', 3)).answer).toMatchObject({ newEpoch: 4, seq: 1 })
    expect(story.refuse(commit('bob', 3)).error).toBe('EpochMismatch')
  })

  it('is taken to end the current epoch when its bytes are opaque', () => {
    const story = new Story(create('alice', [], { epoch: 3 }))
    expect(story.accept(add('alice', [], { commit: commitOf('opaque') })).answer.newEpoch).toBe(4)
  })

  it('that lost is told the winner: at once for the last epoch, by a read for an earlier one', () => {
    const story = new Story(create('alice', ['bob']), commit('alice', 0), commit('bob', 1))
    const { sha256 } = commitOf('bob 1')
    expect(story.refuse(commit('alice', 1)).details!.winningCommit).toEqual({ seq: 2, epoch: 2, sha256 })
    const earlier = story.decide(commit('bob', 0))
    expect(earlier).toMatchObject({ outcome: 'refused', winnerOf: 0 })
    expect(JSON.stringify(earlier)).not.toContain('winningCommit')
    const ahead = story.decide(commit('bob', 7))
    expect(ahead).toMatchObject({ outcome: 'refused', winnerOf: undefined })
  })

  it.each([0, 1, 9, 2 ** 31 - 1])(
    'that is the first of an untracked conversation sets the base %i',
    (base) => {
      const story = untracked()
      story.accept(add('alice', ['carol']))
      story.accept(add('alice', ['dave']))
      expect(story.state!.epoch).toBe(2)
      expect(story.accept(commit('alice', base)).answer.newEpoch).toBe(base + 1)
      expect(story.refuse(commit('alice', base)).error).toBe('EpochMismatch')
    },
  )

  it('cannot set a base of 2^31 or more', () => {
    expect(untracked().refuse(commit('alice', 2 ** 31)).error).toBe('InvalidCommit')
  })
})

describe('a message', () => {
  it.each([
    [0, [5]],
    [2, [3, 4, 5]],
  ])('is accepted in the current epoch and %i before, never ahead', (messageEpochWindow, accepted) => {
    const story = new Story(create('alice', [], { epoch: 5 }))
    Object.assign(story.policy, { messageEpochWindow })
    const outcomes = [2, 3, 4, 5, 6].filter(
      (epoch) => story.decide(send('alice', epoch)).outcome === 'accepted',
    )
    expect(outcomes).toEqual(accepted)
    expect(story.refuse(send('alice', 6))).toMatchObject({
      error: 'EpochMismatch',
      details: { serverEpoch: 5, expectedEpoch: 6 },
    })
  })
})
