import type { Sql } from '@catbird/shared/sql'

/** A conversation's head row, and the database's clock. Times in Unix ms, hashes in lower-case hex. */
export type Head = {
  tracking: string
  creator: string
  epoch: number
  seq: number
  version: number
  logHash: string
  lastCommitSeq: number | null
  lastCommitEpoch: number | null
  lastCommitSha256: string | null
  lastAt: Date
  lastMessageAt: Date | null
  createdAt: Date
  incarnation: number
  pos: number
  /** Read after the snapshot was taken: every deletion that the snapshot shows came before it. */
  now: Date
}

/** Numbers come as double precision: exact far above what a counter reaches. */
export async function readHead(sql: Sql, convoId: string): Promise<Head | undefined> {
  const [head] = await sql<Head[]>`
    select tracking, creator, epoch::float8 as epoch, seq::float8 as seq, version::float8 as version,
      encode(log_hash, 'hex') as "logHash", last_commit_seq::float8 as "lastCommitSeq",
      last_commit_epoch::float8 as "lastCommitEpoch", encode(last_commit_sha256, 'hex') as "lastCommitSha256",
      last_at as "lastAt", last_message_at as "lastMessageAt", created_at as "createdAt", incarnation,
      pos::float8 as pos, clock_timestamp() as now
    from conversations
    where convo_id = ${convoId}`
  return head
}
