import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Random } from '../../../../tests/engine/random.ts'
import { backfill } from './backfill.ts'
import { INCARNATION, LogFixture } from './log.fixture.ts'
import type { Reader } from './read-memberships.ts'
import type { Snapshot } from './snapshot.ts'
import type { StreamPosition } from './stream-cursor.ts'

const BOB = 'did:plc:bob'
const CONNECTIONS = 4
let log: LogFixture

beforeAll(async () => {
  log = await LogFixture.create(CONNECTIONS)
})
afterAll(() => log.drop())

type Had = { name: string; position: StreamPosition }

/** What a reader gets up to a snapshot: each row with the position of who has had it. */
async function read(reader: Reader, position: StreamPosition, until: Snapshot): Promise<Had[]> {
  const had: Had[] = []
  const options = {
    reader,
    incarnation: INCARNATION,
    query: <T>(run: (sql: typeof log.sql) => Promise<T>) => run(log.sql),
  }
  for await (const { round, rows } of backfill(options, position, { snapshot: until, atMs: 7 })) {
    for (const { convoId, n, seq } of rows) {
      had.push({ name: `${convoId} ${n}`, position: { ...round, place: { convoId, n, seq } } })
    }
  }
  return had
}

const names = (had: Had[]) => had.map(({ name }) => name)
const from = (first: number, last: number, convoId: string) =>
  Array.from({ length: last - first + 1 }, (_, i) => `${convoId} ${first + i}`)
const START: StreamPosition = { since: { kind: 'start' }, atMs: 0 }

describe('the past of a reader', () => {
  it('is what happened while it was a member, in order, in each conversation', async () => {
    const reader = { did: 'did:plc:carol' }
    for (const convoId of ['c1', 'c2']) {
      await log.add(convoId, { kind: 'created', added: ['did:plc:alice'] })
      await log.add(convoId)
      await log.add(convoId, { kind: 'commit', added: [reader.did] })
      await log.add(convoId)
      await log.add(convoId, { kind: 'commit', removed: [reader.did] })
      await log.add(convoId)
    }
    await log.add('c2', { kind: 'commit', added: [reader.did] })
    await log.add('c2')
    const now = await log.now()
    const had = await read(reader, START, now)
    expect(names(had)).toEqual([...from(3, 5, 'c1'), ...from(3, 5, 'c2'), ...from(7, 8, 'c2')])
    expect(names(await read({ ...reader, convoId: 'c1' }, START, now))).toEqual(from(3, 5, 'c1'))
    expect(await read({ did: 'did:plc:stranger' }, START, now)).toEqual([])
  })

  it('ends where the snapshot does', async () => {
    const reader = { did: 'did:plc:dan' }
    await log.add('d1', { kind: 'created', added: [reader.did] })
    const now = await log.now()
    await log.add('d1')
    await log.add('d2', { kind: 'created', added: [reader.did] })
    expect(names(await read(reader, START, now))).toEqual(['d1 1'])
  })

  it('leaves out what has expired', async () => {
    const reader = { did: 'did:plc:emil' }
    await log.add('e1', { kind: 'created', added: [reader.did] })
    await log.add('e1', { expiresAt: new Date(Date.now() - 1000) })
    await log.add('e1', { expiresAt: new Date(Date.now() + 100_000) })
    expect(names(await read(reader, START, await log.now()))).toEqual(['e1 1', 'e1 3'])
  })

  it('comes in pages that many conversations, many rows and large rows may exceed', async () => {
    const reader = { did: 'did:plc:fay' }
    const expected: string[] = []
    for (let i = 10; i < 60; i++) {
      await log.add(`f${i}`, { kind: 'created', added: [reader.did] })
      const rows = i % 9 === 0 ? 230 : i % 2
      const size = i === 20 || i === 22 ? 700_000 : 10
      for (let n = 0; n < rows; n++) await log.add(`f${i}`)
      for (let n = 0; n < 2; n++) await log.add(`f${i}`, { bytes: Buffer.alloc(size) })
      expected.push(...from(1, rows + 3, `f${i}`))
    }
    const now = await log.now()
    const had = await read(reader, START, now)
    expect(names(had)).toEqual(expected)
    // Broken off anywhere, it goes on behind.
    for (const i of [0, 1, 99, 199, 200, 201, 500, expected.length - 2, expected.length - 1]) {
      expect(names(await read(reader, had[i]!.position, now))).toEqual(expected.slice(i + 1))
    }
  })

  it('broken off twice keeps the time of what has been had', async () => {
    const reader = { did: 'did:plc:hal' }
    for (const convoId of ['ca', 'cb']) await log.add(convoId, { kind: 'created', added: [reader.did] })
    const [first] = await read(reader, START, await log.now())
    await log.add('cb')
    const [, second] = await read(reader, first!.position, await log.now())
    expect(first!.position).toMatchObject({ atMs: 0, target: { atMs: 7 } })
    expect(second).toMatchObject({ name: 'cb 2', position: { since: { kind: 'snapshot' }, atMs: 7 } })
  })

  it('of a time begins with what is not older', async () => {
    const reader = { did: 'did:plc:gil' }
    await log.add('g1', { kind: 'created', added: [reader.did] })
    await log.add('g1')
    const [{ now }] = await log.sql<
      [{ now: Date }]
    >`select clock_timestamp() + interval '2 milliseconds' as now`
    await new Promise((resolve) => setTimeout(resolve, 20))
    await log.add('g1')
    const until = await log.now()
    expect(names(await read(reader, { since: { kind: 'time', ms: now.getTime() }, atMs: 0 }, until))).toEqual(
      ['g1 3'],
    )
    expect(names(await read(reader, { since: { kind: 'time', ms: 0 }, atMs: 0 }, until))).toEqual(
      from(1, 3, 'g1'),
    )
  })

  it.each([1, 2, 3, 4, 5, 6])(
    'broken off anywhere, again and again, while others write, lacks and repeats nothing, seed %i',
    async (seed) => {
      const random = new Random(seed)
      const reader = { did: `${BOB}${seed}` }
      const convos = Array.from({ length: 5 }, (_, i) => `h${seed}${i}`)
      const expected = new Map(convos.map((convoId) => [convoId, [`${convoId} 1`]]))
      for (const convoId of convos) await log.add(convoId, { kind: 'created', added: [reader.did] })
      let position = START
      const seen: string[] = []
      const reconnect = async () => {
        const until = await log.now()
        const had = await read(reader, position, until)
        const kept = random.chance(0.6) ? had.slice(0, random.int(had.length + 1)) : had
        seen.push(...names(kept))
        if (kept.length === had.length) position = { since: { kind: 'snapshot', snapshot: until }, atMs: 0 }
        else if (kept.length > 0) position = kept.at(-1)!.position
      }
      for (let step = 0; step < 150; step++) {
        const i = random.int(CONNECTIONS)
        const convoId = random.pick(convos)
        const by = random.chance(0.6) ? i : undefined
        if (random.chance(0.25)) await reconnect()
        else if (!log.isOpen(i)) await log.begin(i)
        else if (random.chance(0.3)) await log.commit(i)
        else if (log.mayAdd(convoId, by))
          expected.get(convoId)!.push(`${convoId} ${await log.add(convoId, {}, by)}`)
      }
      for (let i = 0; i < CONNECTIONS; i++) if (log.isOpen(i)) await log.commit(i)
      const until = await log.now()
      seen.push(...names(await read(reader, position, until)))
      for (const convoId of convos) {
        expect(seen.filter((name) => name.startsWith(`${convoId} `))).toEqual(expected.get(convoId))
      }
    },
  )
})
