import type { Sql } from '@catbird/shared/sql'
import { type LogRow, logRowColumns } from './log-row.ts'
import { below, parseSnapshot, type Snapshot } from './snapshot.ts'

/** A place among the rows that one snapshot has more than another. */
export type TailKey = Pick<LogRow, 'pos' | 'convoId' | 'n'>

export type TailPage = {
  incarnation: number
  /** What has been read already. */
  since: Snapshot
  /** What is read up to; what the statement sees when absent. */
  until?: Snapshot
  /** The rows up to here have been read. */
  after?: TailKey
  limit: number
}

/** `nextId`: ids from there on were not given to any transaction yet. */
export type SeenSnapshot = { snapshot: Snapshot; nextId: number }

/** Longer messages are read when it is known that somebody wants them. */
const INLINE_BYTES = 8192

/**
 * Reads rows that were committed after one snapshot was taken and before another, by position, conversation and row.
 * Both are compared by the writing transaction, so that nothing is read twice or passed over, however long a
 * transaction took; and the cost is that of the rows, however long another one goes on.
 */
export async function readTail(
  sql: Sql,
  { incarnation, since, until, after, limit }: TailPage,
): Promise<SeenSnapshot & { rows: LogRow[] }> {
  const beyond = after
    ? sql`and l.pos >= ${after.pos} and (l.pos, l.convo_id, l.n) > (${after.pos}, ${after.convoId}, ${after.n})`
    : sql``
  const within = until
    ? sql`and l.pos < ${until.xmax} and l.pos <> all(${until.xip as number[]}::bigint[])`
    : sql``
  const rows = await sql<(LogRow & Seen & { bytes: Buffer | null })[]>`
    select s.*, r.* from (${seen(sql, incarnation)}) s
    left join (
      with news as (
        (select l.convo_id, l.n, l.pos from log l
          where l.incarnation = ${incarnation} and l.pos >= ${since.xmax} ${beyond} ${within}
          order by l.incarnation, l.pos, l.convo_id, l.n limit ${limit})
        union all
        (select l.convo_id, l.n, l.pos from log l
          where l.incarnation = ${incarnation} and l.pos = any(${since.xip as number[]}::bigint[]) ${beyond} ${within}
          order by l.incarnation, l.pos, l.convo_id, l.n limit ${limit})
        order by pos, convo_id, n limit ${limit}
      )
      select ${logRowColumns(sql)}, case when octet_length(l.bytes) <= ${INLINE_BYTES} then l.bytes end as bytes
      from news join log l using (convo_id, n)
    ) r on true
    order by r.pos, r."convoId", r.n`
  const found = rows.filter(({ n }) => n !== null)
  return { ...toSnapshot(rows[0]!), rows: found.map((row) => ({ ...row, bytes: row.bytes ?? undefined })) }
}

/** The snapshot that a statement sees now. */
export async function readSnapshot(sql: Sql, incarnation: number): Promise<SeenSnapshot> {
  const [row] = await sql<[Seen]>`${seen(sql, incarnation)}`
  return toSnapshot(row)
}

type Seen = { snapshot: string; newest: number | null }

function seen(sql: Sql, incarnation: number) {
  return sql`
    select pg_current_snapshot()::text as snapshot, (
      select pos from log where incarnation = ${incarnation} order by incarnation desc, pos desc limit 1
    )::float8 as newest`
}

/**
 * What is shown up to the newest row. After a crash PostgreSQL gives out again the ids of transactions of which nothing
 * had reached the disk, as of one that was rolled back: of an id above all rows nobody may say that it has been seen.
 */
function toSnapshot({ snapshot, newest }: Seen): SeenSnapshot {
  const shown = parseSnapshot(snapshot)
  return { snapshot: below((newest ?? 0) + 1, shown), nextId: shown.xmax }
}

/** Fills in the bytes of a row that was too long to be read before. */
export async function readBytes(sql: Sql, { convoId, n }: LogRow): Promise<Buffer | undefined> {
  const [row] = await sql<
    { bytes: Buffer | null }[]
  >`select bytes from log where convo_id = ${convoId} and n = ${n}`
  return row?.bytes ?? undefined
}
