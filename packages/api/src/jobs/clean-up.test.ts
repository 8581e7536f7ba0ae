import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, openSql, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { cleanUp } from './clean-up.ts'

let database: TestDatabase
let sql: ReturnType<typeof openSql>

beforeAll(async () => {
  database = await createTestDatabase()
  sql = openSql(database.url)
})

afterAll(async () => {
  await sql?.end()
  await database?.drop()
})

/** A used token that expires so many minutes from now. */
async function useToken(name: string, minutes: number): Promise<void> {
  await sql`
    insert into used_tokens (hash, expires_at)
    values (decode(md5(${name}), 'hex'), now() + ${minutes}::int * interval '1 minute')`
}

describe('cleanUp', () => {
  it('forgets used tokens 15 minutes after they have expired and no sooner', async () => {
    await useToken('valid', 5)
    await useToken('expired a moment ago', -10)
    await useToken('expired long ago', -20)
    expect(await cleanUp(sql)).toMatchObject({ usedTokens: 1 })
    expect(await cleanUp(sql)).toMatchObject({ usedTokens: 0 })
    const left = await sql`
      select from used_tokens where hash = any(array[decode(md5('valid'), 'hex'),
        decode(md5('expired a moment ago'), 'hex')])`
    expect(left).toHaveLength(2)
  })

  it('ends with its next chunk when it is to end', async () => {
    await useToken('expired long before', -30)
    expect(await cleanUp(sql, undefined, AbortSignal.abort())).toMatchObject({ usedTokens: 0 })
    expect(await cleanUp(sql)).toMatchObject({ usedTokens: 1 })
  })

  it('forgets tickets that have expired, and no others', async () => {
    await sql`
      insert into tickets (hash, did, expires_at)
      select sha256(name::bytea), 'did:plc:alice', now() + seconds * interval '1 second'
      from (values ('valid', 30), ('expired', 0), ('expired long ago', -600)) as t(name, seconds)`
    expect(await cleanUp(sql)).toMatchObject({ tickets: 2 })
    expect(await cleanUp(sql)).toMatchObject({ tickets: 0 })
    expect(await sql`select from tickets where hash = sha256('valid')`).toHaveLength(1)
  })
})
