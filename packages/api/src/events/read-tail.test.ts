import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Random } from '../../../../tests/engine/random.ts'
import { INCARNATION, LogFixture } from './log.fixture.ts'
import type { LogRow } from './log-row.ts'
import { readBytes, readSnapshot, type TailKey } from './read-tail.ts'
import type { Snapshot } from './snapshot.ts'

const CONNECTIONS = 5
let log: LogFixture

beforeAll(async () => {
  log = await LogFixture.create(CONNECTIONS)
})
afterAll(() => log.drop())

const names = (rows: readonly LogRow[]) => rows.map(({ convoId, n }) => `${convoId} ${n}`)

describe('reading the tail of the log', () => {
  it('finds what a later snapshot shows, with all that an event needs', async () => {
    const since = await log.now()
    await log.add('a0', { kind: 'created', added: ['did:plc:alice'] })
    await log.add('a0', { kind: 'commit', added: ['did:plc:bob'] })
    await log.add('a0', { kind: 'welcome', added: ['did:plc:bob'] })
    await log.add('a0', { bytes: Buffer.from('hello') })
    await log.add('a0', { kind: 'left', removed: ['did:plc:bob'], sender: 'did:plc:bob' })
    const { rows, snapshot } = await log.tail(since)
    expect(rows.map(({ n, kind, seq, added, removed }) => [n, kind, seq, added, removed])).toEqual([
      [1, 'created', 0, ['did:plc:alice'], []],
      [2, 'commit', 1, ['did:plc:bob'], []],
      [3, 'welcome', 1, ['did:plc:bob'], []],
      [4, 'app', 2, [], []],
      [5, 'left', 2, [], ['did:plc:bob']],
    ])
    expect(rows[3]).toMatchObject({
      bytes: Buffer.from('hello'),
      size: 5,
      messageId: 'm4',
      epoch: 4,
      logHash: '04'.repeat(32),
    })
    expect((await log.tail(snapshot)).rows).toEqual([])
  })

  it('leaves bytes that are many for when somebody wants them', async () => {
    const since = await log.now()
    const large = Buffer.alloc(100_000, 7)
    await log.add('a1', { bytes: large })
    const { rows } = await log.tail(since)
    expect(rows[0]).toMatchObject({ bytes: undefined, size: 100_000 })
    expect(await readBytes(log.sql, rows[0]!)).toEqual(large)
  })

  it('finds a row that is committed long after later ones, once', async () => {
    const since = await log.now()
    await log.begin(0)
    await log.add('a2', {}, 0)
    await log.add('a3')
    const first = await log.tail(since)
    expect(names(first.rows)).toEqual(['a3 1'])
    await log.add('a3')
    const second = await log.tail(first.snapshot)
    expect(names(second.rows)).toEqual(['a3 2'])
    await log.commit(0)
    const third = await log.tail(second.snapshot)
    expect(names(third.rows)).toEqual(['a2 1'])
    expect((await log.tail(third.snapshot)).rows).toEqual([])
  })

  it('reads nothing twice while a transaction stays open that never ends', async () => {
    await log.begin(0)
    let since = await log.now()
    for (let i = 1; i <= 5; i++) {
      const n = await log.add('a4')
      const { rows, snapshot } = await log.tail(since)
      expect(names(rows)).toEqual([`a4 ${n}`])
      since = snapshot
    }
    await log.commit(0)
    expect((await log.tail(since)).rows).toEqual([])
  })

  it('says of no id above all rows that it has been seen: after a crash it may be given out again', async () => {
    await log.add('a5')
    const [{ pos }] = await log.sql<[{ pos: number }]>`select max(pos)::float8 as pos from log`
    for (let i = 0; i < 3; i++) {
      await log.begin(0)
      await log.commit(0)
    }
    const { snapshot, nextId } = await readSnapshot(log.sql, INCARNATION)
    expect(snapshot.xmax).toBe(pos + 1)
    expect(nextId).toBeGreaterThan(pos + 3)
    expect((await log.tail(snapshot)).snapshot.xmax).toBe(pos + 1)
  })

  it.each([1, 2, 3, 4, 5, 6])(
    'finds every row once and a conversation in order, whoever commits when, seed %i',
    async (seed) => {
      const random = new Random(seed)
      const convos = Array.from({ length: 4 }, (_, i) => `b${seed}${i}`)
      const added: string[] = []
      const seen: LogRow[] = []
      let since = await log.now()
      const poll = async () => {
        const page = await readAll(since, 1 + random.int(4), added)
        seen.push(...page.rows)
        since = page.snapshot
      }
      for (let step = 0; step < 120; step++) {
        const i = random.int(CONNECTIONS)
        const convoId = random.pick(convos)
        if (random.chance(0.3)) await poll()
        else if (!log.isOpen(i)) await log.begin(i)
        else if (random.chance(0.4)) await log.commit(i)
        else {
          const by = random.chance(0.7) ? i : undefined
          if (log.mayAdd(convoId, by)) added.push(`${convoId} ${await log.add(convoId, {}, by)}`)
        }
      }
      for (let i = 0; i < CONNECTIONS; i++) if (log.isOpen(i)) await log.commit(i)
      seen.push(...(await log.tail(since)).rows)
      expect(names(seen).toSorted()).toEqual(added.toSorted())
      for (const convoId of convos) {
        const ns = seen.filter((row) => row.convoId === convoId).map(({ n }) => n)
        expect(ns).toEqual(ns.toSorted((a, b) => a - b))
      }
    },
  )
})

/** All that one snapshot has more, in pages, while others write. */
async function readAll(
  since: Snapshot,
  limit: number,
  added: string[],
): Promise<{ rows: LogRow[]; snapshot: Snapshot }> {
  const rows: LogRow[] = []
  let until: Snapshot | undefined
  for (let after: TailKey | undefined; rows.length < 1000; after = rows.at(-1)) {
    const page = await log.tail(since, { limit, until, after })
    until ??= page.snapshot
    rows.push(...page.rows)
    if (page.rows.length < limit) return { rows, snapshot: until }
    // Not of this snapshot: it must wait for the next.
    added.push(`cc ${await log.add('cc')}`)
  }
  throw new Error('the pages have no end')
}
