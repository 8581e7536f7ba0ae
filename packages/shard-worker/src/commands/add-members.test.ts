import { describe, expect, it } from 'vitest'
import { add, commit, create, Story } from '../conversation/story.fixture.ts'

const untracked = () => new Story(create('alice', ['bob'], { epoch: undefined }))

describe('an addition without a commit', () => {
  it('needs an untracked conversation', () => {
    expect(untracked().accept(add('bob', ['carol'])).state).toMatchObject({ epoch: 1, seq: 1 })
    const welcome = { bytes: Buffer.from('welcome') }
    const provisional = new Story(create('alice', ['bob'], { epoch: undefined, welcome }))
    const tracked = new Story(create('alice', ['bob']))
    for (const story of [provisional, tracked])
      expect(story.refuse(add('bob', ['carol'])).error).toBe('CommitRequired')
  })

  it('needs somebody who is not a member yet', () => {
    expect(untracked().refuse(add('alice', ['alice', 'bob'])).error).toBe('AlreadyMember')
    expect(untracked().refuse(add('alice', [])).error).toBe('InvalidRequest')
  })
})

describe('an addition', () => {
  it('counts newcomers once towards the most members', () => {
    const story = new Story(create('alice', ['bob']))
    expect(story.refuse(commit('alice', 0, ['c', 'd', 'e'])).error).toBe('TooManyMembers')
    const { state } = story.accept(commit('alice', 0, ['c', 'bob', 'd', 'c']))
    expect(state.members.list).toEqual(['alice', 'bob', 'c', 'd'])
  })

  it('names the newcomers alone in its entry', () => {
    const story = new Story(create('alice', ['bob']))
    const { change } = story.accept(commit('bob', 0, ['bob', 'carol']))
    expect(change.rows.map(({ event }) => event)).toMatchObject([{ kind: 'commit', added: ['carol'] }])
  })

  it('refuses key packages of who is neither added nor a member', () => {
    const story = new Story(create('alice', ['bob']))
    const keyPackages = [{ did: 'mallory', hash: 'h' }]
    expect(story.refuse(commit('alice', 0, ['carol'], { keyPackages })).error).toBe('InvalidRequest')
  })
})
