import type { Sql } from '@catbird/shared/sql'
import { isShown, type LogRow, logRowColumns } from './log-row.ts'
import type { Reader } from './read-memberships.ts'
import type { Snapshot } from './snapshot.ts'
import type { Since } from './stream-cursor.ts'

/** A conversation of a reader, and the rows of its log that it may see: from the one that added it to the one that removed it. */
export type PastConvo = { convoId: string; intervals: { from: number; to: number | null }[]; afterN: number }

/** Conversations that are read together: few statements when little is new in many, little in vain when much is in one. */
const GROUP = 8
const PAGE_ROWS = 200
const PAGE_BYTES = 2 ** 20
/** Beyond all rows. */
const LAST = Number.MAX_SAFE_INTEGER

/**
 * The next conversations of a reader, in the order of their ids, that have something newer than `since`; `afterN` is the
 * row after which the reader may have something to get.
 *
 * @param from the first that is looked at, itself included or not
 */
export async function readPastConvos(
  sql: Sql,
  incarnation: number,
  { did, convoId }: Reader,
  since: Since,
  from: { convoId: string; isIncluded: boolean } | undefined,
): Promise<PastConvo[]> {
  const only = convoId === undefined ? sql`` : sql`and m.convo_id = ${convoId}`
  const beyond = from ? sql`and m.convo_id ${from.isIncluded ? sql`>=` : sql`>`} ${from.convoId}` : sql``
  return sql<PastConvo[]>`
    with mine as (
      select m.convo_id, min(m.joined_n) as first,
        case when count(*) = count(m.left_n) then max(m.left_n) else ${LAST} end as last,
        json_agg(json_build_object('from', m.joined_n, 'to', m.left_n) order by m.joined_n) as intervals
      from members m join conversations c using (convo_id)
      where m.did = ${did} ${only} ${beyond} and ${hasNews(sql, incarnation, since)}
      group by m.convo_id order by m.convo_id limit ${GROUP}
    )
    select convo_id as "convoId", intervals,
      greatest(first - 1, (
        select l.n from log l
        where l.convo_id = mine.convo_id and l.n between first and last
          and ${wasHad(sql, incarnation, since)}
        order by l.n desc limit 1))::float8 as "afterN"
    from mine order by convo_id`
}

/**
 * Reads a page of rows that a snapshot shows, conversation by conversation, in order. Messages that have expired are left
 * out. `more`: the conversations have further rows.
 */
export async function readPast(
  sql: Sql,
  incarnation: number,
  convos: readonly PastConvo[],
  until: Snapshot,
): Promise<{ rows: LogRow[]; more: boolean }> {
  const wanted = convos.map(({ convoId, afterN, intervals }) => ({
    convo_id: convoId,
    after_n: afterN,
    intervals,
  }))
  const rows = await sql<(LogRow & { more: boolean; bytes: Buffer | null })[]>`
    with wanted as (
      select * from json_to_recordset(${JSON.stringify(wanted)}::text::json)
        as w(convo_id text, after_n bigint, intervals json)
    ),
    found as (
      select w.convo_id, l.n, l.size
      from wanted w
      cross join lateral json_to_recordset(w.intervals) as i("from" bigint, "to" bigint)
      cross join lateral (
        select l.n, coalesce(octet_length(l.bytes), 0) as size from log l
        where l.convo_id = w.convo_id
          and l.n > greatest(w.after_n, i."from" - 1) and l.n <= coalesce(i."to", ${LAST})
          and (l.incarnation <> ${incarnation} or ${isShown(sql, 'l.pos', until)})
          and (l.expires_at is null or l.expires_at > now())
        order by l.n limit ${PAGE_ROWS + 1}
      ) l
      order by w.convo_id, l.n limit ${PAGE_ROWS + 1}
    ),
    measured as (
      select convo_id, n, row_number() over w as place, count(*) over () as found, sum(size) over w as total
      from found window w as (order by convo_id, n)
    ),
    kept as (
      select convo_id, n, found, count(*) over () as kept from measured
      where place = 1 or (place <= ${PAGE_ROWS} and total <= ${PAGE_BYTES})
    )
    select ${logRowColumns(sql)}, l.bytes, k.found > k.kept as more
    from kept k join log l using (convo_id, n)
    order by l.convo_id, l.n`
  return {
    rows: rows.map((row) => ({ ...row, bytes: row.bytes ?? undefined })),
    more: rows[0]?.more ?? false,
  }
}

/** Of rows and heads of earlier lives of the database, a reader who names a position of this one has had all. */
function wasHad(sql: Sql, incarnation: number, since: Since) {
  if (since.kind === 'start') return sql`false`
  if (since.kind === 'time') return sql`l.created_at < ${new Date(since.ms)}`
  return sql`(l.incarnation <> ${incarnation} or ${isShown(sql, 'l.pos', since.snapshot)})`
}

function hasNews(sql: Sql, incarnation: number, since: Since) {
  if (since.kind === 'start') return sql`true`
  if (since.kind === 'time') return sql`c.last_at >= ${new Date(since.ms)}`
  return sql`c.incarnation = ${incarnation} and not ${isShown(sql, 'c.pos', since.snapshot)}`
}
