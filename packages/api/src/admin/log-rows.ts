import type { Fragment } from '@catbird/shard-worker/store/statement'
import type { Sql } from '@catbird/shared/sql'

/** A statement's share. Deleting takes PostgreSQL about a second for 100 MB of bytes or 500 000 rows. */
const MAX_ROWS = 5000
const MAX_BYTES = 32 * 2 ** 20
/** What the transaction that deletes a conversation may well do at once. */
const LIGHT_BYTES = 64 * 2 ** 20

/** Deletes a conversation's whole log, in statements of bounded work. */
export function deleteLog(sql: Sql, convoId: string): Promise<void> {
  return inSteps((after) => deleteRows(sql, convoId, after, sql``))
}

/**
 * Makes the log of a conversation that only its last member is in small enough to be deleted in one transaction, which
 * would hold up all streams while it lasts: messages expire now and go in steps, each a transaction. Later ones stay,
 * for whom that member may add meanwhile. Of messages in a row the last is left for the deletion of the whole: its
 * early end tells the audit that those before it are not lost.
 *
 * @param lightBytes a log with no more needs nothing
 * @param onBegin runs before anything changes, when something will
 */
export async function shrinkLog(
  sql: Sql,
  convoId: string,
  { lightBytes = LIGHT_BYTES, onBegin }: { lightBytes?: number; onBegin: () => Promise<void> },
): Promise<void> {
  const [log] = await sql<{ seq: number; bytes: number }[]>`
    select c.seq::float8 as seq,
      (select coalesce(sum(octet_length(bytes)), 0)::float8 from log l where l.convo_id = c.convo_id) as bytes
    from conversations c where c.convo_id = ${convoId}`
  if (!log || log.bytes <= lightBytes) return
  await onBegin()
  await inSteps((after) => expireRows(sql, convoId, after, log.seq))
  const isSuperfluous = sql`
    and l.kind = 'app' and l.seq <= ${log.seq} and l.expires_at <= now()
    and exists (select from log f where f.convo_id = l.convo_id and f.n = l.n + 1 and f.kind = 'app')`
  await inSteps((after) => deleteRows(sql, convoId, after, isSuperfluous))
}

/** @param step takes rows after the given one and tells the last it took, null when none was left */
async function inSteps(step: (after: number) => Promise<number | null>): Promise<void> {
  for (let after: number | null = 0; after !== null; ) after = await step(after)
}

async function deleteRows(
  sql: Sql,
  convoId: string,
  after: number,
  condition: Fragment,
): Promise<number | null> {
  const [row] = await sql<[{ last: number | null }]>`
    with page as (
      select l.n, coalesce(octet_length(l.bytes), 0) as size from log l
      where l.convo_id = ${convoId} and l.n > ${after} ${condition}
      order by l.n
      limit ${MAX_ROWS}
    ),
    chunk as (
      select n from (select n, sum(size) over (order by n) - size as before from page) sized
      where before < ${MAX_BYTES}
    ),
    gone as (
      delete from log l using chunk c where l.convo_id = ${convoId} and l.n = c.n
    )
    select max(n)::float8 as last from chunk`
  return row.last
}

async function expireRows(sql: Sql, convoId: string, after: number, maxSeq: number): Promise<number | null> {
  const [row] = await sql<[{ last: number | null }]>`
    with page as (
      select n from log
      where convo_id = ${convoId} and n > ${after} and kind = 'app' and seq <= ${maxSeq} and expires_at > now()
      order by n
      limit ${MAX_ROWS}
    ),
    expired as (
      update log l set expires_at = now() from page p where l.convo_id = ${convoId} and l.n = p.n
    )
    select max(n)::float8 as last from page`
  return row.last
}
