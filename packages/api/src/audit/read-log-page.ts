import type { Sql } from '@catbird/shared/sql'

/** A kept row of the log. Hashes in lower-case hex; `sha256` is of the bytes, of nothing where there are none. */
export type LogPageRow = {
  n: number
  seq: number | null
  kind: 'created' | 'joined' | 'app' | 'commit' | 'left' | 'welcome'
  epoch: number
  sender: string
  hasBytes: boolean
  sha256: string
  logHash: string | null
  removed: string[] | null
  createdAt: Date
  expiresAt: Date | null
  incarnation: number
  pos: number
}

const PAGE_ROWS = 500
/** The database hashes the bytes, at some hundred MiB per second; only hashes travel. */
const PAGE_BYTES = 16 * 2 ** 20

/** The rows after `n`, in order: at most so many, and so many bytes unless the first alone has more. */
export async function readLogPage(sql: Sql, convoId: string, after: number): Promise<LogPageRow[]> {
  return sql<LogPageRow[]>`
    with candidate as (
      select n, sum(size) over (order by n) - size as bytes_before
      from (
        select n, coalesce(octet_length(bytes), 0) as size from log
        where convo_id = ${convoId} and n > ${after}
        order by n
        limit ${PAGE_ROWS}
      ) l
    )
    select n::float8 as n, seq::float8 as seq, kind, epoch::float8 as epoch, sender, bytes is not null as "hasBytes",
      encode(sha256(coalesce(bytes, '')), 'hex') as sha256, encode(log_hash, 'hex') as "logHash", removed,
      created_at as "createdAt", expires_at as "expiresAt", incarnation, pos::float8 as pos
    from log
    where convo_id = ${convoId} and n > ${after}
      and n <= (select max(n) from candidate where bytes_before < ${PAGE_BYTES})
    order by n`
}
