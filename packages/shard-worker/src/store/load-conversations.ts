import type { Tracking } from '@catbird/shared/events'
import { cipherSuiteId, cipherSuiteName } from '@catbird/shared/mls/cipher-suites'
import type { Sql } from '@catbird/shared/sql'
import { Members } from '../conversation/members.ts'
import type { ConvoState } from '../conversation/state.ts'

type Row = {
  convo_id: string
  cipher_suite: string
  creator: string
  tracking: Tracking
  epoch: string
  seq: string
  version: string
  log_hash: Buffer
  last_at: Date
  last_message_at: Date | null
  last_commit_seq: string | null
  last_commit_epoch: string | null
  last_commit_sha256: Buffer | null
  members: string[]
}

/** Heads and active members of the given conversations, from one snapshot. */
export async function loadConversations(sql: Sql, convoIds: string[]): Promise<Map<string, ConvoState>> {
  const rows = await sql<Row[]>`
    select c.convo_id, cipher_suite, creator, tracking, epoch, seq, version, log_hash, last_at, last_message_at,
      last_commit_seq, last_commit_epoch, last_commit_sha256,
      (select json_agg(did order by joined_n, joined_index) from members m
        where m.convo_id = c.convo_id and m.left_n is null) as members
    from conversations c
    where c.convo_id = any(${convoIds}::text[])`
  // Strings that are in memory already stand for those of the rows: idle actors are many.
  const ids = new Map(convoIds.map((convoId) => [convoId, convoId]))
  return new Map(rows.map((row) => [ids.get(row.convo_id)!, toState(ids.get(row.convo_id)!, row)]))
}

function toState(convoId: string, row: Row): ConvoState {
  return {
    convoId,
    cipherSuite: sharedName(row.cipher_suite),
    creator: row.members.find((did) => did === row.creator) ?? row.creator,
    tracking: row.tracking,
    epoch: Number(row.epoch),
    seq: Number(row.seq),
    version: Number(row.version),
    logHash: row.log_hash.toString('hex'),
    lastAtMs: row.last_at.getTime(),
    lastMessageAtMs: row.last_message_at?.getTime(),
    lastCommit: row.last_commit_sha256
      ? {
          seq: Number(row.last_commit_seq),
          epoch: Number(row.last_commit_epoch),
          sha256: row.last_commit_sha256.toString('hex'),
        }
      : undefined,
    members: new Members(row.members),
    left: undefined,
  }
}

function sharedName(cipherSuite: string): string {
  const id = cipherSuiteId(cipherSuite)
  return id === undefined ? cipherSuite : cipherSuiteName(id)!
}

/**
 * Takes the conversation's row, waiting for whoever holds it. A statement of its own: a later one sees what the
 * former holder wrote, while the statement that waited would still read other tables as of its beginning.
 */
export async function lockConversation(sql: Sql, convoId: string): Promise<void> {
  await sql`select 1 from conversations where convo_id = ${convoId} for no key update`
}
