import { describe, expect, it } from 'vitest'
import type { Change } from '../conversation/decision.ts'
import { CONVO, commit, create, leave, Story } from '../conversation/story.fixture.ts'
import { foldUnits } from './fold-units.ts'
import type { Unit } from './store.ts'

const welcome = { bytes: Buffer.from('welcome') }

function unitOf(story: Story, before: number, changes: Change[]): Unit {
  return { convoId: CONVO, expectedVersion: before, changes, final: story.state! }
}

describe('foldUnits', () => {
  it('withdraws all Welcomes of who leaves, also one that came in the same batch', () => {
    const story = new Story(create('alice', ['bob']))
    const before = story.state!.version
    const joining = story.accept(commit('alice', 0, ['carol'], { welcome })).change
    const leaving = story.accept(leave('carol')).change
    const { welcomes, withdrawals } = foldUnits([unitOf(story, before, [joining, leaving])])
    const leftAt = leaving.rows[0]!.n
    expect(welcomes).toMatchObject([{ did: 'carol', withdrawn_n: leftAt }])
    expect(withdrawals).toContainEqual({
      convo_id: CONVO,
      did: 'carol',
      n: leftAt,
      key_package_hash: undefined,
    })
  })

  it('withdraws the Welcome that another for the same key package replaces, and no other', () => {
    const story = new Story(create('alice', ['bob']))
    const before = story.state!.version
    const invite = (epoch: number, hash: string) => {
      const fact = { did: 'bob', hash, ref: null, lastResort: true, consumedBy: null }
      story.facts = { keyPackages: [fact], formerMembers: [] }
      const keyPackages = [{ did: 'bob', hash }]
      return story.accept(commit('alice', epoch, ['bob'], { welcome, keyPackages })).change
    }
    const changes = [invite(0, 'phone'), invite(1, 'laptop'), invite(2, 'phone')]
    const { welcomes } = foldUnits([unitOf(story, before, changes)])
    expect(
      welcomes.map(({ n, key_package_hash, withdrawn_n }) => [n, key_package_hash, withdrawn_n]),
    ).toEqual([
      [4, 'phone', 8],
      [6, 'laptop', undefined],
      [8, 'phone', undefined],
    ])
  })

  it('gives an interval that opens and closes in one batch as one finished row', () => {
    const story = new Story(create('alice', ['bob']))
    const before = story.state!.version
    const changes = [commit('alice', 0, ['carol']), leave('carol')].map(
      (command) => story.accept(command).change,
    )
    const { joins, leaves } = foldUnits([unitOf(story, before, changes)])
    expect(joins).toMatchObject([{ did: 'carol', joined_n: 3, from_seq: 1, left_n: 4, to_seq: 1 }])
    expect(leaves).toEqual([])
  })

  it('gives heads, key packages and records in one order, whatever the order of the units', () => {
    const unit = (convoId: string, name: string): Unit => {
      const story = new Story()
      const { change } = story.accept(create('alice', [], { idempotency: { key: name, contentHash: 'h' } }))
      const keyPackages = ['2', '1'].map((hash) => ({ did: name, hash }))
      return { convoId, expectedVersion: 0, changes: [{ ...change, keyPackages }], final: story.state! }
    }
    const { heads, keyPackages, records } = foldUnits([unit('0b', 'y'), unit('0a', 'z'), unit('0c', 'x')])
    expect(heads.map(({ convo_id }) => convo_id)).toEqual(['0a', '0b', '0c'])
    expect(keyPackages.map(({ did, hash }) => `${did}${hash}`)).toEqual(['x1', 'x2', 'y1', 'y2', 'z1', 'z2'])
    expect(records.map(({ key }) => key)).toEqual(['x', 'y', 'z'])
  })
})
