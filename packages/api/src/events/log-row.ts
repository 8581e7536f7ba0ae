import type { Sql } from '@catbird/shared/sql'
import type { Snapshot } from './snapshot.ts'

/** A row of a conversation's log, with what streams need of it. */
export type LogRow = {
  convoId: string
  n: number
  pos: number
  kind: 'created' | 'joined' | 'app' | 'commit' | 'left' | 'welcome'
  /** Of an entry its own, of another row that of the newest entry before it; 0 before the first. */
  seq: number
  epoch: number
  sender: string
  /** Undefined when there are none, or when they are so many that they were not read yet. */
  bytes: Buffer | undefined
  size: number
  messageId: string | null
  embedType: string | null
  embedUri: string | null
  logHash: string | null
  createdAt: Date
  added: readonly string[]
  removed: readonly string[]
}

/** The columns of a `LogRow` from `log l`, but for `bytes`. */
export function logRowColumns(sql: Sql) {
  return sql`
    l.convo_id as "convoId", l.n::float8 as n, l.pos::float8 as pos, l.kind, l.epoch::float8 as epoch, l.sender,
    coalesce(octet_length(l.bytes), 0) as size, l.message_id as "messageId", l.embed_type as "embedType",
    l.embed_uri as "embedUri", encode(l.log_hash, 'hex') as "logHash", l.created_at as "createdAt",
    coalesce(l.added, '{}') as added, coalesce(l.removed, '{}') as removed,
    coalesce(l.seq, case l.kind
      -- Kept with the interval: the entry itself may have expired.
      when 'left' then (
        select m.to_seq from members m where m.convo_id = l.convo_id and m.left_n = l.n and m.did = l.removed[1])
      when 'welcome' then (
        select e.seq from log e where e.convo_id = l.convo_id and e.n < l.n and e.seq is not null
        order by e.n desc limit 1)
      end, 0)::float8 as seq`
}

/** Whether a row (of `log`, or a head) of the present life of the database is among what a snapshot shows. */
export function isShown(sql: Sql, pos: 'l.pos' | 'c.pos', { xmax, xip }: Snapshot) {
  return sql`(${sql(pos)} < ${xmax} and ${sql(pos)} <> all(${xip as number[]}::bigint[]))`
}
