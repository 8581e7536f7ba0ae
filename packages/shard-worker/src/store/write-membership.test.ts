import { newEntryId } from '@catbird/shared/ids'
import { describe, expect, it } from 'vitest'
import { add, commit, create, leave, Story } from '../conversation/story.fixture.ts'
import { sql, store } from './store.fixture.ts'
import type { Unit } from './store.ts'

let serial = 0

type Commands = Parameters<Story['accept']>[0][]

/** Conversations whose commands are decided in memory and written as one unit each. */
class StoredStory extends Story {
  readonly convoId = `c1${(serial++).toString(16).padStart(6, '0')}`

  unit(commands: Commands): Unit {
    const { convoId } = this
    const expectedVersion = this.state?.version ?? 0
    const changes = commands.map((command) => {
      return { ...this.accept({ ...command, convoId }).change, entryId: newEntryId() }
    })
    return { convoId, expectedVersion, changes, final: this.state! }
  }

  async write(...commands: Commands): Promise<Set<string>> {
    return store.write([this.unit(commands)])
  }

  static async create(...commands: Commands): Promise<StoredStory> {
    const story = new StoredStory()
    story.nowMs = Date.now()
    await story.write(...commands)
    return story
  }
}

async function count(table: string, convoId: string): Promise<number> {
  const [row] = await sql`select count(*)::int from ${sql(table)} where convo_id = ${convoId}`
  return row!.count
}

const welcome = { bytes: Buffer.from('welcome') }

describe('a unit that lost its guard', () => {
  it('keeps no Welcome, moves no member, consumes no key package', async () => {
    const story = await StoredStory.create(create('alice', ['bob']))
    const { convoId } = story
    await sql`
      insert into key_packages (did, hash, identity, cipher_suite, bytes, last_resort, expires_at)
      values ('carol', ${convoId}, 'carol', 's', 'b', false, now() + interval '1 hour')`
    const fact = { did: 'carol', hash: convoId, ref: null, lastResort: false, consumedBy: null }
    story.facts = { keyPackages: [fact], formerMembers: [] }
    const idempotency = { key: convoId, contentHash: 'h' }
    const keyPackages = [{ did: 'carol', hash: convoId }]
    const stale = story.unit([
      leave('bob'),
      commit('alice', 0, ['carol'], { welcome, keyPackages, idempotency }),
    ])
    await sql`update conversations set version = version + 1 where convo_id = ${convoId}`
    expect(await store.write([stale])).toEqual(new Set())
    expect(await count('welcomes', convoId)).toBe(0)
    expect(await count('welcome_bytes', convoId)).toBe(0)
    const members = await sql`select did, left_n from members where convo_id = ${convoId} order by did`
    expect(members.map(({ did, left_n }) => [did, left_n])).toEqual([
      ['alice', null],
      ['bob', null],
    ])
    const [row] = await sql`select consumed_by, consumed_at from key_packages where hash = ${convoId}`
    expect(row).toEqual({ consumed_by: null, consumed_at: null })
    expect(await sql`select from idempotency where key = ${convoId}`).toHaveLength(0)
  })
})

describe('a unit that is written', () => {
  it('withdraws the Welcome of who leaves', async () => {
    const story = await StoredStory.create(create('alice', ['bob'], { welcome }))
    await story.write(leave('bob'))
    const [row] = await sql`select withdrawn_n::int from welcomes where convo_id = ${story.convoId}`
    expect(row!.withdrawn_n).toBe(story.state!.version)
  })

  it('closes an interval before it opens the next of the same member', async () => {
    const story = await StoredStory.create(create('alice', ['bob']))
    const commands = [leave('bob'), commit('alice', 0, ['bob']), leave('bob'), commit('alice', 1, ['bob'])]
    expect(await story.write(...commands)).toEqual(new Set([story.convoId]))
    const rows = await sql`
      select from_seq::int, to_seq::int from members where convo_id = ${story.convoId} and did = 'bob'
      order by joined_n`
    expect(rows.map(({ from_seq, to_seq }) => [from_seq, to_seq])).toEqual([
      [1, 0],
      [1, 1],
      [2, null],
    ])
  })
})

describe('PgStore', () => {
  it('loads members in the order of standing', async () => {
    const story = await StoredStory.create(create('alice', ['zoe', 'bob']), commit('alice', 0, ['carol']))
    await story.write(leave('zoe'), commit('alice', 1, ['zoe']))
    const state = (await store.load([story.convoId])).get(story.convoId)!
    expect(state.members.list).toEqual(['alice', 'bob', 'carol', 'zoe'])
    expect(state).toEqual({ ...story.state, left: undefined })
  })

  it('names the real commit of an epoch where an entry without bytes bears the same', async () => {
    const untracked = create('alice', ['bob'], { epoch: undefined })
    const story = await StoredStory.create(untracked, add('alice', ['carol']), commit('alice', 0))
    const [seen] = await store.inspect([{ convoId: story.convoId, winnerOf: 0 }])
    expect(seen!.winner).toEqual(story.state!.lastCommit)
    const [first, second] = await sql`
      select epoch::int, bytes is null as bare from log where convo_id = ${story.convoId} and kind = 'commit' order by n`
    expect([first, second]).toEqual([
      { epoch: 1, bare: true },
      { epoch: 1, bare: false },
    ])
  })
})
