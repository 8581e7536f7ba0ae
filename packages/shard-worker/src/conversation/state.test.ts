import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { add, CONVO, commit, commitOf, create, leave, remove, Story, send } from './story.fixture.ts'

describe('evolve', () => {
  it('numbers rows without a gap, and entries alone by seq', () => {
    const story = new Story(create('alice', ['bob']))
    const rows = [commit('alice', 0), send('alice', 1), leave('bob'), send('alice', 1)].flatMap(
      (command) => story.accept(command).change.rows,
    )
    expect(rows.map(({ n, seq, event }) => [n, seq, event.kind])).toEqual([
      [3, 1, 'commit'],
      [4, 2, 'app'],
      [5, undefined, 'left'],
      [6, 3, 'app'],
    ])
    expect(story.state).toMatchObject({ version: 6, seq: 3, epoch: 1 })
  })

  it('chains the hash of every entry over all that identifies it', () => {
    const story = new Story(create('alice', ['bob'], { epoch: 7 }))
    const { change } = story.accept(send('alice', 7))
    const numbers = Buffer.alloc(19)
    numbers.writeBigUInt64BE(1n, 0)
    numbers.writeBigUInt64BE(7n, 8)
    numbers[16] = 1
    numbers.writeUInt16BE('alice'.length, 17)
    const digest = (...parts: (string | Buffer)[]) =>
      parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
    const expected = digest(digest(CONVO), numbers, 'alice', digest('content'))
    expect(change.rows[0]!.logHash).toBe(expected.toString('hex'))
    expect(story.state!.logHash).toBe(expected.toString('hex'))
  })

  it('never lets time go backwards', () => {
    const story = new Story(create('alice'))
    const startMs = story.nowMs
    story.nowMs -= 60_000
    expect(story.accept(send('alice', 0)).change.rows[0]!.atMs).toBe(startMs)
    story.nowMs += 120_000
    expect(story.accept(send('alice', 0)).change.rows[0]!.atMs).toBe(story.nowMs)
  })

  it('counts epochs by itself until the first commit with bytes', () => {
    const story = new Story(create('alice', [], { epoch: undefined }))
    expect(story.accept(add('alice', ['bob'])).state).toMatchObject({ tracking: 'untracked', epoch: 1 })
    expect(story.accept(commit('alice', 1)).state).toMatchObject({ tracking: 'tracked', epoch: 2 })
  })

  it('hands the role of a departing creator to the longest-standing member', () => {
    const story = new Story(create('alice', ['dave', 'bob']), commit('alice', 0, ['carol']))
    expect(story.accept(leave('alice')).state.creator).toBe('dave')
    expect(story.accept(leave('bob')).state.creator).toBe('dave')
    expect(story.accept(remove('dave', 'carol', { commit: commitOf('removal', 1) })).state.creator).toBe(
      'dave',
    )
  })

  it('remembers who left since it was read', () => {
    const story = new Story(create('alice', ['bob']), leave('bob'))
    expect(story.state!.left).toEqual(['bob'])
    expect(story.refuse(send('bob', 0)).error).toBe('NotMember')
    expect(story.refuse(send('mallory', 0)).error).toBe('ConvoNotFound')
  })
})
