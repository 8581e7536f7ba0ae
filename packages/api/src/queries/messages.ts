import { timestamp } from '@catbird/shared/clock'
import { encodeBytes, type MessageView } from '@catbird/shared/lexicon'
import type { Sql } from '@catbird/shared/sql'
import type { Interval } from './access.ts'

/** A page ends early when its bytes reach this. */
export const PAGE_BYTES = 4 * 2 ** 20

export type MessagePage = {
  convoId: string
  intervals: Interval[]
  kind: 'app' | 'commit' | 'all'
  direction: 'forward' | 'backward'
  /** Forward: entries after it; backward: entries before it; absent: from the end. */
  seq?: number
  limit: number
}

type Row = {
  seq: string
  kind: 'app' | 'commit'
  epoch: string
  sender: string
  bytes: Buffer | null
  message_id: string
  embed_type: string | null
  embed_uri: string | null
  log_hash: Buffer
  created_at: Date
  more: boolean
}

/** Reads a page of entries in its direction, within the reader's intervals; `more`: further ones lie that way. */
export async function readMessages(
  sql: Sql,
  page: MessagePage,
): Promise<{ messages: MessageView[]; more: boolean }> {
  const { convoId, kind, direction, seq } = page
  const isForward = direction === 'forward'
  const order = isForward ? sql`asc` : sql`desc`
  const from = isForward ? (seq ?? 0) : -1
  const to = isForward ? Number.MAX_SAFE_INTEGER : (seq ?? Number.MAX_SAFE_INTEGER)
  const rows = await sql<Row[]>`
    with found as (
      select n, l.seq, coalesce(octet_length(bytes), 0) as size
      from log l
      join json_to_recordset(${JSON.stringify(page.intervals)}::text::json) as i("from" bigint, "to" bigint)
        on l.seq >= i."from" and l.seq <= i."to"
      where l.convo_id = ${convoId} and l.seq > ${from} and l.seq < ${to}
        and l.kind in ('app', 'commit') and (${kind} = 'all' or l.kind = ${kind})
        and (l.expires_at is null or l.expires_at > now())
      order by l.seq ${order}
      limit ${page.limit + 1}
    ),
    measured as (
      select n, row_number() over w as place, count(*) over () as found,
        sum(size) over w as total
      from found
      window w as (order by seq ${order})
    ),
    kept as (
      select n, found, count(*) over () as kept from measured
      where place = 1 or (place <= ${page.limit} and total <= ${PAGE_BYTES})
    )
    select l.seq, l.kind, l.epoch, l.sender, l.bytes, l.message_id, l.embed_type, l.embed_uri, l.log_hash,
      l.created_at, k.found > k.kept as more
    from kept k join log l on l.convo_id = ${convoId} and l.n = k.n
    order by l.seq ${order}`
  return { messages: rows.map((row) => toView(convoId, row)), more: rows[0]?.more ?? false }
}

function toView(convoId: string, row: Row): MessageView {
  return {
    id: row.message_id,
    convoId,
    sender: row.sender,
    ciphertext: encodeBytes(row.bytes ?? new Uint8Array()),
    epoch: Number(row.epoch),
    seq: Number(row.seq),
    createdAt: timestamp(row.created_at.getTime()),
    ...(row.embed_type !== null && { embedType: row.embed_type }),
    ...(row.embed_uri !== null && { embedUri: row.embed_uri }),
    messageType: row.kind,
    logHash: row.log_hash.toString('hex'),
  }
}

/** Seq of the message with this id, if the reader may see it. */
export async function seqOfMessage(
  sql: Sql,
  convoId: string,
  messageId: string,
  intervals: Interval[],
): Promise<number | undefined> {
  const [row] = await sql<{ seq: string }[]>`
    select seq from log where convo_id = ${convoId} and message_id = ${messageId}`
  if (!row) return undefined
  const seq = Number(row.seq)
  const isReadable = intervals.some(({ from, to }) => seq >= from && seq <= to)
  return isReadable ? seq : undefined
}

/** Seq of the oldest entry that is kept and that the reader may see. */
export async function firstKeptSeq(
  sql: Sql,
  convoId: string,
  intervals: Interval[],
): Promise<number | undefined> {
  const [row] = await sql<{ seq: string }[]>`
    select l.seq from log l
    join json_to_recordset(${JSON.stringify(intervals)}::text::json) as i("from" bigint, "to" bigint)
      on l.seq >= i."from" and l.seq <= i."to"
    where l.convo_id = ${convoId} and l.seq is not null and (l.expires_at is null or l.expires_at > now())
    order by l.seq limit 1`
  return row && Number(row.seq)
}
