import { sha256Hex } from '@catbird/shared/bytes'
import type { Command } from '@catbird/shared/commands'
import { newEntryId } from '@catbird/shared/ids'
import { describe, expect, it } from 'vitest'
import { decide } from '../conversation/decide.ts'
import { NO_FACTS } from '../conversation/facts.ts'
import {
  ALICE,
  addKeyPackage,
  bytes,
  create,
  decided,
  logOf,
  newConvo,
  policy,
  send,
  sql,
  store,
} from './store.fixture.ts'
import { StoreError } from './store.ts'

describe('writeUnits', () => {
  it('writes nothing of a conversation whose version has moved on', async () => {
    const convoId = await newConvo()
    const [first, second] = [await send(convoId), await send(convoId)]
    expect(await store.write([first])).toEqual(new Set([convoId]))
    expect(await store.write([second])).toEqual(new Set())
    expect((await logOf(convoId)).filter(({ kind }) => kind === 'app')).toEqual([
      { n: 3, seq: 1, kind: 'app' },
    ])
  })

  it('writes the other conversations of a batch when one has moved on', async () => {
    const [one, two] = [await newConvo(), await newConvo()]
    const batch = [await send(one), await send(two)]
    await store.write([await send(one)])
    expect(await store.write(batch)).toEqual(new Set([two]))
  })

  it('G13 skips a conversation that somebody holds instead of waiting for it', async () => {
    const [held, free] = [await newConvo(), await newConvo()]
    const batch = [await send(held), await send(free)]
    await sql.begin(async (holder) => {
      await holder`select 1 from conversations where convo_id = ${held} for update`
      expect(await store.write(batch)).toEqual(new Set([free]))
    })
    expect(await store.write([batch[0]!])).toEqual(new Set([held]))
  })

  it('lets one of two creations of a conversation win', async () => {
    const units = await Promise.all([create('cc01'), create('cc01', { caller: 'did:plc:carol' })])
    expect(await store.write([units[0]!])).toEqual(new Set(['cc01']))
    expect(await store.write([units[1]!])).toEqual(new Set())
    const [head] = await sql`select creator from conversations where convo_id = 'cc01'`
    expect(head!.creator).toBe(ALICE)
  })

  it('G14 writes nothing when the idempotency key is recorded already, whatever the conversation', async () => {
    const [one, two] = [await newConvo(), await newConvo()]
    const idempotency = { key: 'same', contentHash: 'h' }
    const batch = [await send(one, { idempotency }), await send(two, { idempotency })]
    expect(await store.write([batch[0]!])).toEqual(new Set([one]))
    expect(await store.write([batch[1]!])).toEqual(new Set())
    expect((await logOf(two)).length).toBe(2)
  })

  it('G14 writes nothing when the token has been used already, whatever the conversation', async () => {
    const [one, two] = [await newConvo(), await newConvo()]
    const tokenUse = { hash: 'ab'.repeat(16), expiresAtMs: Date.now() + 60_000 }
    const batch = [await send(one, { tokenUse }), await send(two, { tokenUse })]
    expect(await store.write([batch[0]!])).toEqual(new Set([one]))
    expect(await store.write([batch[1]!])).toEqual(new Set())
    const [facts] = await store.facts([{ convoId: two, tokenHash: tokenUse.hash }])
    expect(facts).toMatchObject({ isTokenUsed: true })
  })

  it('G14 writes nothing of a creation or a change of members when the token has been used already', async () => {
    const [one, two] = [await newConvo(), await newConvo()]
    const tokenUse = { hash: '12'.repeat(16), expiresAtMs: Date.now() + 60_000 }
    const creation = await create('cc09', { tokenUse })
    const commit = { bytes, sha256: sha256Hex(bytes), epoch: 0 }
    const dids = ['did:plc:carol']
    const addition = await decided({ type: 'addMembers', convoId: two, dids, commit, tokenUse })
    await store.write([await send(one, { tokenUse })])
    expect(await store.write([creation])).toEqual(new Set())
    expect(await store.write([addition])).toEqual(new Set())
    // With a free conversation in the batch, which is written in the same shape.
    expect(await store.write([creation, addition, await create('cc0a')])).toEqual(new Set(['cc0a']))
    expect(await sql`select from conversations where convo_id = 'cc09'`).toHaveLength(0)
    expect(await sql`select from members where convo_id = 'cc09' or did = 'did:plc:carol'`).toHaveLength(0)
    expect(await logOf('cc09')).toEqual([])
    expect((await logOf(two)).length).toBe(2)
  })

  it('G14 leaves a token unused when nothing was written', async () => {
    const convoId = await newConvo()
    const tokenUse = { hash: 'cd'.repeat(16), expiresAtMs: Date.now() + 60_000 }
    const [late, next] = [await send(convoId, { tokenUse }), await send(convoId)]
    await store.write([next])
    expect(await store.write([late])).toEqual(new Set())
    expect(await store.write([await send(convoId, { tokenUse })])).toEqual(new Set([convoId]))
  })

  it('consumes a key package for the first conversation that names it and refuses the second whole', async () => {
    await addKeyPackage('k1')
    const keyPackages = [{ did: 'did:plc:bob', hash: 'k1' }]
    const [one, two] = [await create('cc02', { keyPackages }), await create('cc03', { keyPackages })]
    expect(await store.write([one])).toEqual(new Set(['cc02']))
    expect(await store.write([two])).toEqual(new Set())
    const [row] = await sql`select consumed_by from key_packages where hash = 'k1'`
    expect(row!.consumed_by).toBe('cc02')
    expect(await sql`select from conversations where convo_id = 'cc03'`).toHaveLength(0)
  })

  it('does not wait for a key package that another transaction holds', async () => {
    await addKeyPackage('k2')
    const unit = await create('cc04', { keyPackages: [{ did: 'did:plc:bob', hash: 'k2' }] })
    await sql.begin(async (holder) => {
      await holder`select 1 from key_packages where hash = 'k2' for update`
      expect(await store.write([unit])).toEqual(new Set())
    })
    expect(await store.write([unit])).toEqual(new Set(['cc04']))
  })

  it('never consumes a package of last resort', async () => {
    await addKeyPackage('k3', { last_resort: true })
    const keyPackages = [{ did: 'did:plc:bob', hash: 'k3' }]
    for (const convoId of ['cc05', 'cc06']) await store.write([await create(convoId, { keyPackages })])
    const [row] = await sql`select consumed_by from key_packages where hash = 'k3'`
    expect(row!.consumed_by).toBeNull()
  })

  it('fails the batch rather than storing a second entry for one seq', async () => {
    const convoId = await newConvo()
    const unit = await send(convoId)
    await sql`
      insert into log (convo_id, n, seq, kind, epoch, sender, bytes, entry_id, message_id, log_hash, created_at,
        incarnation, pos)
      values (${convoId}, 99, 1, 'app', 0, 'x', 'x', gen_random_uuid(), 'planted', 'x', now(), 1, 1)`
    await expect(store.write([unit])).rejects.toThrow(StoreError)
    const [head] = await sql`select seq from conversations where convo_id = ${convoId}`
    expect(head!.seq).toBe('0')
  })

  it('stores a member that left and came back in one batch with two intervals, one of them open', async () => {
    const convoId = await newConvo()
    await store.write([await send(convoId)])
    const leave = await decided({ type: 'leaveConvo', convoId, caller: 'did:plc:bob', target: 'did:plc:bob' })
    const commit = { bytes, sha256: sha256Hex(bytes), epoch: 0 }
    const base = {
      caller: ALICE,
      requestId: 'r',
      deadlineMs: Date.now() + 10_000,
      size: 100,
      keyPackages: [],
    }
    const command = { ...base, type: 'addMembers', convoId, dids: ['did:plc:bob'], commit } as Command
    const again = decide(leave.final, command, NO_FACTS, { nowMs: Date.now(), entryId: newEntryId(), policy })
    if (again.outcome !== 'accepted') throw new Error('refused')
    const unit = { ...leave, changes: [...leave.changes, again.change], final: again.state }
    expect(await store.write([unit])).toEqual(new Set([convoId]))
    const intervals = await sql`
      select from_seq::int, to_seq::int from members where convo_id = ${convoId} and did = 'did:plc:bob'
      order by joined_n`
    expect(intervals.map((row) => ({ ...row }))).toEqual([
      { from_seq: 1, to_seq: 1 },
      { from_seq: 2, to_seq: null },
    ])
  })

  it('G11 writes as many rows for a message among 500 members as among two', async () => {
    const many = Array.from({ length: 500 }, (_, i) => `did:plc:m${i}`)
    const written = async (convoId: string, initialMembers: string[]) => {
      await store.write([await create(convoId, { initialMembers })])
      const unit = await send(convoId)
      const before = await tuples()
      await store.write([unit])
      return (await tuples()) - before
    }
    const [few, lots] = [await written('cc07', ['did:plc:bob']), await written('cc08', many)]
    expect(lots).toBe(few)
    expect(few).toBe(2)
  })

  it('writes nothing for a process whose life of the database is over, new conversations neither', async () => {
    const convoId = await newConvo()
    const [message, creation] = [await send(convoId), await create('cc99')]
    await sql`insert into incarnations (system_identifier, timeline) values ('another', 1), ('and one more', 1)`
    expect(await store.write([message, creation])).toEqual(new Set())
    await sql`delete from incarnations`
    expect(await store.write([message, creation])).toEqual(new Set([convoId, 'cc99']))
  })

  it('gives a row a position above the one before it, or writes nothing', async () => {
    const convoId = await newConvo()
    await sql`update conversations set pos = pos + 1000000 where convo_id = ${convoId}`
    expect(await store.write([await send(convoId)])).toEqual(new Set())
    // Positions of another life of the database do not compare.
    await sql`update conversations set incarnation = 99 where convo_id = ${convoId}`
    expect(await store.write([await send(convoId)])).toEqual(new Set([convoId]))
    expect(await store.write([await send(convoId)])).toEqual(new Set([convoId]))
    const rows =
      await sql`select pos::float8 as pos, incarnation from log where convo_id = ${convoId} order by n`
    const positions = rows.map(({ pos }) => pos)
    expect(positions).toEqual(positions.toSorted((a, b) => a - b))
    // The first two rows are one creation.
    expect(new Set(positions).size).toBe(positions.length - 1)
    expect(rows.map(({ incarnation }) => incarnation)).toEqual(rows.map(() => 1))
  })
})

/** Rows that live in all tables, with those that updates left behind. */
async function tuples(): Promise<number> {
  const [row] = await sql`
    select (select count(*) from log) + (select count(*) from members) + (select count(*) from cursors)
      + (select count(*) from welcomes) + (select sum(version) from conversations) as sum`
  return Number(row!.sum)
}
