import { timestamp } from '@catbird/shared/clock'
import { type CommitEntry, encodeBytes } from '@catbird/shared/lexicon'
import type { Sql } from '@catbird/shared/sql'
import type { Interval } from './access.ts'
import { PAGE_BYTES } from './messages.ts'

export type CommitPage = {
  convoId: string
  intervals: Interval[]
  fromEpoch: number
  toEpoch?: number
  afterSeq: number
  limit: number
}

type Row = {
  seq: string
  epoch: string
  sender: string
  bytes: Buffer
  log_hash: Buffer
  created_at: Date
  more: boolean
}

/** Commits with bytes by the epochs that they created, both ends included, ascending. */
export async function readCommits(
  sql: Sql,
  page: CommitPage,
): Promise<{ commits: CommitEntry[]; more: boolean }> {
  const { convoId, fromEpoch, toEpoch = Number.MAX_SAFE_INTEGER } = page
  const rows = await sql<Row[]>`
    with found as (
      select n, l.seq, octet_length(bytes) as size
      from log l
      join json_to_recordset(${JSON.stringify(page.intervals)}::text::json) as i("from" bigint, "to" bigint)
        on l.seq >= i."from" and l.seq <= i."to"
      where l.convo_id = ${convoId} and l.kind = 'commit' and l.bytes is not null
        and l.epoch between ${fromEpoch} and ${toEpoch} and l.seq > ${page.afterSeq}
      order by l.seq
      limit ${page.limit + 1}
    ),
    measured as (
      select n, row_number() over w as place, count(*) over () as found, sum(size) over w as total
      from found
      window w as (order by seq)
    ),
    kept as (
      select n, found, count(*) over () as kept from measured
      where place = 1 or (place <= ${page.limit} and total <= ${PAGE_BYTES})
    )
    select l.seq, l.epoch, l.sender, l.bytes, l.log_hash, l.created_at, k.found > k.kept as more
    from kept k join log l on l.convo_id = ${convoId} and l.n = k.n
    order by l.seq`
  const commits = rows.map((row) => ({
    epoch: Number(row.epoch),
    sender: row.sender,
    commitData: encodeBytes(row.bytes),
    createdAt: timestamp(row.created_at.getTime()),
    seq: Number(row.seq),
    logHash: row.log_hash.toString('hex'),
  }))
  return { commits, more: rows[0]?.more ?? false }
}
