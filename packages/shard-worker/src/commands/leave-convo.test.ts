import { describe, expect, it } from 'vitest'
import { NO_FACTS } from '../conversation/facts.ts'
import { commitOf, create, leave, remove, Story } from '../conversation/story.fixture.ts'

const tracked = () => new Story(create('alice', ['bob', 'carol']))
const commit = commitOf('removal', 0)

describe('leaving', () => {
  it('takes effect at once and moves neither epoch nor seq', () => {
    const { answer, state } = tracked().accept(leave('bob'))
    expect(answer).toEqual({ success: true, newEpoch: 0 })
    expect(state).toMatchObject({ epoch: 0, seq: 0, members: { list: ['alice', 'carol'] } })
  })

  it('is not for the last member', () => {
    const story = new Story(create('alice', ['bob']), leave('alice'))
    expect(story.refuse(leave('bob')).error).toBe('LastMember')
  })

  it('comes without a commit, for the creator too', () => {
    for (const did of ['alice', 'bob'])
      expect(tracked().refuse(remove(did, did, { commit })).error).toBe('InvalidCommit')
  })
})

describe('removing another', () => {
  it('is for the creator alone while the other is present', () => {
    expect(tracked().refuse(remove('bob', 'carol', { commit })).error).toBe('Forbidden')
    const { state } = tracked().accept(remove('alice', 'carol', { commit }))
    expect(state).toMatchObject({ epoch: 1, members: { list: ['alice', 'bob'] } })
  })

  it('is for any member once the other has left, since the state was read or before', () => {
    const story = new Story(create('alice', ['bob', 'carol']), leave('carol'))
    expect(story.accept(remove('bob', 'carol', { commit })).answer.newEpoch).toBe(1)
    const later = new Story(create('alice', ['bob']))
    later.facts = { ...NO_FACTS, formerMembers: ['carol'] }
    expect(later.accept(remove('bob', 'carol', { commit })).answer.newEpoch).toBe(1)
  })

  it('needs somebody who is or was a member', () => {
    expect(tracked().refuse(remove('alice', 'mallory', { commit })).error).toBe('NotMember')
  })

  it('needs a commit unless the conversation is untracked', () => {
    expect(tracked().refuse(remove('alice', 'bob')).error).toBe('CommitRequired')
    const untracked = new Story(create('alice', ['bob'], { epoch: undefined }))
    expect(untracked.accept(remove('alice', 'bob')).state.members.list).toEqual(['alice'])
  })

  it('takes no commit of a past epoch', () => {
    const stale = remove('alice', 'bob', { commit: commitOf('removal', 4) })
    expect(tracked().refuse(stale).error).toBe('EpochMismatch')
  })
})
