import type { StoredDatabase, StoredRow } from './history.ts'
import type { SimDatabase } from './sim-database.ts'
import type { SimLogRow } from './sim-tables.ts'

/** The committed rows of a simulated database, as the checker takes them. */
export function storedDatabase(database: SimDatabase): StoredDatabase {
  const convos = [...database.convos].filter(([, { head }]) => head)
  return {
    rows: convos.flatMap(([, { log }]) => log.filter((row) => row).map(storedRow)),
    heads: convos.map(([convoId, { head }]) => {
      const { creator, epoch, seq, version, log_hash } = head!
      return { convoId, creator, epoch, seq, version, logHash: log_hash }
    }),
    intervals: convos.flatMap(([convoId, { intervals }]) =>
      intervals.map((row) => ({
        convoId,
        did: row.did,
        joinedN: row.joined_n,
        joinedIndex: row.joined_index,
        fromSeq: row.from_seq,
        toSeq: row.to_seq,
        leftN: row.left_n,
      })),
    ),
    welcomes: convos.flatMap(([convoId, { welcomes }]) =>
      welcomes.map(({ did, n, key_package_hash }) => ({ convoId, did, n, keyPackageHash: key_package_hash })),
    ),
    keyPackages: database.keyPackages.map(({ did, hash, ref, lastResort, consumedBy }) => {
      return { did, hash, ref, lastResort, consumedBy }
    }),
    records: [...database.records.values()].map(({ caller, method, key, content_hash }) => {
      return { caller, method, key, contentHash: content_hash }
    }),
    tokens: [...database.usedTokens],
  }
}

function storedRow(row: SimLogRow): StoredRow {
  return {
    convoId: row.convo_id,
    n: row.n,
    seq: row.seq,
    kind: row.kind,
    epoch: row.epoch,
    sender: row.sender,
    bytes: row.bytes === undefined ? undefined : Buffer.from(row.bytes, 'base64'),
    entryId: row.entry_id,
    messageId: row.message_id,
    added: row.added,
    removed: row.removed,
    logHash: row.log_hash,
    createdAtMs: Date.parse(row.created_at),
    committedAt: row.committedAt,
  }
}
