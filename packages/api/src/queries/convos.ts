import { timestamp } from '@catbird/shared/clock'
import type { ConvoView } from '@catbird/shared/lexicon'
import type { Sql } from '@catbird/shared/sql'
import type { ConvoCursor } from './cursor.ts'

/** Unread counts are exact up to this. */
const MAX_UNREAD = 500

type Row = {
  convo_id: string
  creator: string
  epoch: string
  cipher_suite: string
  created_at: Date
  last_at: Date
  last_message_at: Date | null
  name: string | null
  description: string | null
  seq: string
  unread: number
  members: { did: string; joined_at: string }[]
}

export type ConvoPage = { did: string; limit: number; after?: ConvoCursor }

/** The conversations that a DID is a member of, newest activity first. */
export async function listConvos(
  sql: Sql,
  { did, limit, after }: ConvoPage,
): Promise<{ conversations: ConvoView[]; next?: ConvoCursor }> {
  const beyond = after
    ? sql`and (c.last_at, c.convo_id) < (${timestamp(after.lastAtMs)}::text::timestamptz, ${after.convoId})`
    : sql``
  const rows = await sql<Row[]>`
    with page as (
      select c.*, own.from_seq
      from members own join conversations c using (convo_id)
      where own.did = ${did} and own.left_n is null ${beyond}
      order by c.last_at desc, c.convo_id desc
      limit ${limit + 1}
    )
    select p.*, unread.count::integer as unread,
      (select json_agg(json_build_object('did', m.did, 'joined_at', m.joined_at)
          order by m.joined_n, m.joined_index)
        from members m where m.convo_id = p.convo_id and m.left_n is null) as members
    from page p
    left join cursors r on r.did = ${did} and r.convo_id = p.convo_id,
    lateral (
      select count(*) from (
        select from log l
        where l.convo_id = p.convo_id and l.seq > greatest(coalesce(r.seq, 0), p.from_seq - 1)
          and l.seq is not null and l.kind = 'app' and l.sender <> ${did} and l.expires_at > now()
        limit ${MAX_UNREAD}
      ) u
    ) unread
    order by p.last_at desc, p.convo_id desc`
  const kept = rows.slice(0, limit)
  const last = kept.at(-1)
  const hasMore = rows.length > limit
  return {
    conversations: kept.map(toView),
    next: hasMore && last ? { lastAtMs: last.last_at.getTime(), convoId: last.convo_id } : undefined,
  }
}

function toView(row: Row): ConvoView {
  const { name, description } = row
  return {
    id: row.convo_id,
    groupId: row.convo_id,
    creator: row.creator,
    members: row.members.map(({ did, joined_at }) => ({
      did,
      joinedAt: timestamp(Date.parse(joined_at)),
      role: did === row.creator ? 'creator' : 'member',
    })),
    epoch: Number(row.epoch),
    cipherSuite: row.cipher_suite,
    createdAt: timestamp(row.created_at.getTime()),
    ...(row.last_message_at && { lastMessageAt: timestamp(row.last_message_at.getTime()) }),
    ...((name !== null || description !== null) && {
      metadata: { ...(name !== null && { name }), ...(description !== null && { description }) },
    }),
    unreadCount: row.unread,
    lastSeq: Number(row.seq),
  }
}
