import type { GetEpochOutput } from '@catbird/shared/lexicon'
import type { Sql } from '@catbird/shared/sql'

type Row = {
  epoch: string
  seq: string
  log_hash: string
  last_commit_seq: string | null
  last_commit_epoch: string | null
  last_commit_sha256: string | null
}

/** Where an existing conversation stands. */
export async function readEpoch(sql: Sql, convoId: string): Promise<GetEpochOutput> {
  const [row] = await sql<[Row]>`
    select epoch, seq, encode(log_hash, 'hex') as log_hash, last_commit_seq, last_commit_epoch,
      encode(last_commit_sha256, 'hex') as last_commit_sha256
    from conversations where convo_id = ${convoId}`
  return {
    convoId,
    currentEpoch: Number(row.epoch),
    lastSeq: Number(row.seq),
    logHash: row.log_hash,
    ...(row.last_commit_sha256 !== null && {
      lastCommit: {
        seq: Number(row.last_commit_seq),
        epoch: Number(row.last_commit_epoch),
        sha256: row.last_commit_sha256,
      },
    }),
  }
}
