import { randomBytes } from 'node:crypto'
import { sha256Hex } from '@catbird/shared/bytes'
import type { Sql } from '@catbird/shared/sql'
import { AuthError } from './auth-error.ts'

const TICKET_BYTES = 32
const LIFETIME_S = 30
/** 32 bytes as base64url, whose last digit carries four bits. */
const TICKET = /^[\w-]{42}[AEIMQUYcgkosw048]$/

/** Whom a ticket is for, and the stream that it opens: of one conversation, or without `convoId` of all. */
export type TicketOwner = { did: string; convoId?: string }

/** A secret that opens one stream in place of a bearer token. The database keeps its hash alone, and the time. */
export async function issueTicket(
  sql: Sql,
  { did, convoId }: TicketOwner,
): Promise<{ ticket: string; expiresAtMs: number }> {
  const ticket = randomBytes(TICKET_BYTES).toString('base64url')
  const [row] = await sql<[{ expires_at: Date }]>`
    insert into tickets (hash, did, convo_id, expires_at)
    values (decode(${sha256Hex(ticket)}::text, 'hex'), ${did}, ${convoId ?? null},
      now() + ${LIFETIME_S}::integer * interval '1 second')
    returning expires_at`
  return { ticket, expiresAtMs: row.expires_at.getTime() }
}

/**
 * Uses a ticket up and gives the DID that it was issued to. Of all who redeem it, in whatever process, one gets it; for
 * another stream than its own it is refused and stays good.
 *
 * @param convoId of the stream that is to be opened; undefined for one of all conversations
 * @throws AuthError `malformed` or `ticket`
 */
export async function redeemTicket(sql: Sql, ticket: string, convoId: string | undefined): Promise<string> {
  if (!TICKET.test(ticket)) throw new AuthError('malformed', 'the ticket is malformed')
  const [row] = await sql<{ did: string }[]>`
    delete from tickets
    where hash = decode(${sha256Hex(ticket)}::text, 'hex') and expires_at > now()
      and convo_id is not distinct from ${convoId ?? null}::text
    returning did`
  if (!row) throw new AuthError('ticket', 'the ticket is used up, has expired, or is for another stream')
  return row.did
}
