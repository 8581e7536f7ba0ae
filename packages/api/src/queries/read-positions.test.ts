import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { ReadPositions } from './read-positions.ts'

let database: TestDatabase
let sql: ReturnType<typeof postgres>
let positions: ReadPositions

beforeAll(async () => {
  database = await createTestDatabase()
  sql = postgres(database.url, { max: 2 })
  positions = new ReadPositions((_name, run) => run(sql))
  await sql`
    insert into conversations (convo_id, cipher_suite, creator, tracking, epoch, seq, version, log_hash, last_at,
      created_at, incarnation, pos)
    values ('0a', 's', 'alice', 'tracked', 0, 9, 10, 'x', now(), now(), 1, 1)`
})

afterAll(async () => {
  await sql.end()
  await database.drop()
})

const seqOf = async (did: string) => (await sql`select seq::int from cursors where did = ${did}`)[0]?.seq

describe('ReadPositions', () => {
  it('stores the greatest of those that share a write', async () => {
    await Promise.all([3, 9, 1].map((seq) => positions.advance('alice', '0a', seq)))
    expect(await seqOf('alice')).toBe(9)
  })

  it('never moves backwards', async () => {
    for (const [seq, stored] of [
      [4, 4],
      [2, 4],
      [5, 5],
    ] as const) {
      await positions.advance('bob', '0a', seq)
      expect(await seqOf('bob')).toBe(stored)
    }
  })

  it('has stored a position that came while a write was running', async () => {
    const first = positions.advance('carol', '0a', 1)
    await new Promise((resolve) => setImmediate(resolve))
    await positions.advance('carol', '0a', 2)
    expect(await seqOf('carol')).toBe(2)
    await first
  })

  it('fails for those alone whose write fails', async () => {
    await expect(positions.advance('dave', '0a', 2 ** 64)).rejects.toThrow()
    await positions.advance('dave', '0a', 1)
    expect(await seqOf('dave')).toBe(1)
  })

  it('leaves out a conversation that has been erased meanwhile', async () => {
    await Promise.all([positions.advance('erin', 'erased', 1), positions.advance('frank', '0a', 1)])
    expect([await seqOf('erin'), await seqOf('frank')]).toEqual([undefined, 1])
  })
})
