import { RefusalError } from '@catbird/shared/errors'
import type { Sql } from '@catbird/shared/sql'

/**
 * The entries that a caller may read: seq from `from` to `to`, both included. While it is a member `to` is the last
 * entry that there was when its membership was looked up: it may have been removed since.
 */
export type Interval = { from: number; to: number }

/** A caller's relation to a conversation, with the conversation's last seq. */
export type Access = { intervals: Interval[]; isMember: boolean; lastSeq: number }

/** @throws RefusalError ConvoNotFound for who never was a member, whether or not the conversation exists */
export async function requireReader(sql: Sql, convoId: string, did: string): Promise<Access> {
  const rows = await sql<{ from_seq: string; to_seq: string | null; seq: string }[]>`
    select m.from_seq, m.to_seq, c.seq from members m join conversations c using (convo_id)
    where m.convo_id = ${convoId} and m.did = ${did}
    order by m.joined_n`
  if (rows.length === 0) throw new RefusalError('ConvoNotFound', 'no such conversation')
  const intervals = rows.map(({ from_seq, to_seq }) => ({
    from: Number(from_seq),
    to: Number(to_seq ?? rows[0]!.seq),
  }))
  return { intervals, isMember: rows.some(({ to_seq }) => to_seq === null), lastSeq: Number(rows[0]!.seq) }
}

/** @throws RefusalError NotMember for who has left, ConvoNotFound for who never was a member */
export async function requireMember(sql: Sql, convoId: string, did: string): Promise<Access> {
  const access = await requireReader(sql, convoId, did)
  if (!access.isMember) {
    throw new RefusalError('NotMember', 'the caller is no longer a member of this conversation')
  }
  return access
}
