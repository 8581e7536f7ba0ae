import { expect, it } from 'vitest'
import { create, Story } from '../conversation/story.fixture.ts'

const welcome = { bytes: Buffer.from('welcome') }

it('refuses a groupId that is taken, to its creator too', () => {
  const story = new Story(create('alice'))
  for (const caller of ['alice', 'bob']) expect(story.refuse(create(caller)).error).toBe('GroupIdTaken')
})

it('counts the creator and each DID once towards the most members', () => {
  expect(new Story().refuse(create('alice', ['b', 'c', 'd', 'e'])).error).toBe('TooManyMembers')
  const { state } = new Story().accept(create('alice', ['b', 'alice', 'c', 'b', 'd']))
  expect(state.members.list).toEqual(['alice', 'b', 'c', 'd'])
})

it.each([
  ['the epoch given', ['bob'], { epoch: 5, welcome }, 5, 'tracked'],
  ['1 with a Welcome for somebody', ['bob'], { epoch: undefined, welcome }, 1, 'provisional'],
  ['0 with a Welcome for nobody', [], { epoch: undefined, welcome }, 0, 'provisional'],
  ['0 without a Welcome', ['bob'], { epoch: undefined }, 0, 'untracked'],
])('begins at %s', (_, members, more, epoch, tracking) => {
  expect(new Story().accept(create('alice', members, more)).state).toMatchObject({ epoch, tracking })
})
