import { sha256Hex } from '@catbird/shared/bytes'
import { openPool, type Pool, type Sql } from '@catbird/shared/sql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { AuthError, type AuthFailure } from './auth-error.ts'
import { issueTicket, redeemTicket } from './tickets.ts'

const ALICE = 'did:plc:alice'
const CONVO = '0a0b'

let database: TestDatabase
/** As two processes have them. */
let pools: [Pool, Pool]
let sql: Pool

beforeAll(async () => {
  database = await createTestDatabase()
  const open = () => openPool(database.url, { max: 10, name: 'test', statementTimeoutMs: 5000 })
  pools = [open(), open()]
  sql = pools[0]
})
afterAll(async () => {
  await Promise.all((pools ?? []).map((pool) => pool.end()))
  await database?.drop()
})

async function expectRefused(redeeming: Promise<string>, reason: AuthFailure = 'ticket'): Promise<void> {
  const error = await redeeming.then(
    () => expect.unreachable(),
    (thrown) => thrown,
  )
  expect(error).toBeInstanceOf(AuthError)
  expect(error).toMatchObject({ reason, refusal: { error: 'InvalidToken' } })
}

/** Never asked: whatever it is asked fails. */
const noDatabase = (() => {
  throw new Error('the database was asked')
}) as unknown as Sql

describe('tickets', () => {
  it('give the DID that they were issued to, once', async () => {
    const { ticket } = await issueTicket(sql, { did: ALICE })
    expect(ticket).toMatch(/^[\w-]{43}$/)
    expect(await redeemTicket(sql, ticket, undefined)).toBe(ALICE)
    await expectRefused(redeemTicket(sql, ticket, undefined))
  })

  it('differ', async () => {
    const issued = await Promise.all(Array.from({ length: 100 }, () => issueTicket(sql, { did: ALICE })))
    expect(new Set(issued.map(({ ticket }) => ticket)).size).toBe(100)
  })

  it('are redeemed by one of 20 at once over two processes', async () => {
    for (const convoId of [undefined, CONVO]) {
      const { ticket } = await issueTicket(sql, { did: ALICE, convoId })
      const tries = Array.from({ length: 20 }, (_, i) => redeemTicket(pools[i % 2]!, ticket, convoId))
      const settled = await Promise.allSettled(tries)
      const won = settled.filter(({ status }) => status === 'fulfilled')
      expect(won).toEqual([{ status: 'fulfilled', value: ALICE }])
      for (const [i, { status }] of settled.entries()) {
        if (status === 'rejected') await expectRefused(tries[i]!)
      }
    }
  })

  it('live 30 seconds, by the clock of the database', async () => {
    const { ticket, expiresAtMs } = await issueTicket(sql, { did: ALICE })
    const [row] = await sql<[{ expires_at: Date; left: number }]>`
      select expires_at, extract(epoch from expires_at - now())::float8 as left
      from tickets where hash = decode(${sha256Hex(ticket)}::text, 'hex')`
    expect(row.expires_at.getTime()).toBe(expiresAtMs)
    expect(row.left).toBeLessThanOrEqual(30)
    expect(row.left).toBeGreaterThan(20)
  })

  it('are good until they expire and not after', async () => {
    const expireIn = async (seconds: number) => {
      const { ticket } = await issueTicket(sql, { did: ALICE })
      await sql`update tickets set expires_at = now() + ${seconds}::int * interval '1 second'
        where hash = decode(${sha256Hex(ticket)}::text, 'hex')`
      return ticket
    }
    expect(await redeemTicket(sql, await expireIn(20), undefined)).toBe(ALICE)
    await expectRefused(redeemTicket(sql, await expireIn(0), undefined))
    await expectRefused(redeemTicket(sql, await expireIn(-1), undefined))
  })

  it('stay good when they are tried for another stream than their own', async () => {
    const cases = [
      { own: CONVO, others: [undefined, 'ffff', '', CONVO.toUpperCase(), `${CONVO} `] },
      { own: undefined, others: [CONVO, ''] },
    ]
    for (const { own, others } of cases) {
      const { ticket } = await issueTicket(sql, { did: ALICE, convoId: own })
      for (const other of others) await expectRefused(redeemTicket(sql, ticket, other))
      expect(await redeemTicket(sql, ticket, own)).toBe(ALICE)
    }
  })

  it('are refused when they are changed in any way, and stay good', async () => {
    const { ticket } = await issueTicket(sql, { did: ALICE })
    const last = ticket.at(-1) === 'A' ? 'E' : 'A'
    const turned = (text: string) => text.replace(/[a-z]/i, swapCase)
    for (const other of [turned(ticket), `${ticket.slice(0, -1)}${last}`]) {
      expect(other).not.toBe(ticket)
      await expectRefused(redeemTicket(sql, other, undefined))
    }
    const malformed = [
      '',
      ticket.slice(0, -1),
      ticket.slice(1),
      `${ticket}A`,
      ` ${ticket}`,
      `${ticket}\n`,
      `${ticket}=`,
      // The bits after the last byte are not zero.
      `${ticket.slice(0, -1)}B`,
      `${ticket.slice(0, -1)}+`,
      sha256Hex(ticket),
      `%${ticket.slice(1)}`,
    ]
    for (const other of malformed)
      await expectRefused(redeemTicket(noDatabase, other, undefined), 'malformed')
    expect(await redeemTicket(sql, ticket, undefined)).toBe(ALICE)
  })

  it('count against an address when they cost a question, and only then', () => {
    expect(new AuthError('ticket', '').isCostly).toBe(true)
    expect(new AuthError('malformed', '').isCostly).toBe(false)
  })

  it('are nowhere in the database, but for their hash', async () => {
    const { ticket } = await issueTicket(sql, { did: ALICE, convoId: CONVO })
    const hash = sha256Hex(ticket)
    const rows = await sql<{ text: string }[]>`
      select to_jsonb(t)::text as text from tickets t where hash = decode(${hash}::text, 'hex')`
    expect(rows).toHaveLength(1)
    const clear = [
      ticket,
      Buffer.from(ticket).toString('hex'),
      Buffer.from(ticket, 'base64url').toString('hex'),
    ]
    for (const text of clear) expect(rows[0]!.text).not.toContain(text)
    expect(rows[0]!.text).toContain(hash)
  })
})

function swapCase(letter: string): string {
  return letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase()
}
