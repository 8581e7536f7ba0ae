import { timestamp } from '@catbird/shared/clock'
import type { Change } from '../conversation/decision.ts'
import type { LogRow } from '../conversation/state.ts'
import { addedBy, base64, MembershipFold } from './membership-fold.ts'
import type { Unit } from './store.ts'

/** A batch as the rows that one statement takes; keys are the columns' names. */
export type BatchRows = Record<
  | 'heads'
  | 'rows'
  | 'joins'
  | 'leaves'
  | 'welcomes'
  | 'welcomeBytes'
  | 'withdrawals'
  | 'keyPackages'
  | 'records'
  | 'tokens',
  Record<string, unknown>[]
>

/** Folds units to the net rows, so that the statement touches each row of the database at most once. */
export function foldUnits(units: Unit[]): BatchRows {
  const batch: BatchRows = {
    heads: [],
    rows: [],
    joins: [],
    leaves: [],
    welcomes: [],
    welcomeBytes: [],
    withdrawals: [],
    keyPackages: [],
    records: [],
    tokens: [],
  }
  for (const unit of units) foldUnit(batch, unit)
  // One order for all writers, so that two of them never wait for each other in a circle.
  batch.heads.sort((a, b) => compare(a.convo_id, b.convo_id))
  batch.keyPackages.sort((a, b) => compare(a.did, b.did) || compare(a.hash, b.hash))
  batch.records.sort(
    (a, b) => compare(a.caller, b.caller) || compare(a.method, b.method) || compare(a.key, b.key),
  )
  batch.tokens.sort((a, b) => compare(a.hash, b.hash))
  return batch
}

function compare(a: unknown, b: unknown): number {
  return (a as string) < (b as string) ? -1 : a === b ? 0 : 1
}

function foldUnit(batch: BatchRows, unit: Unit): void {
  batch.heads.push(headRow(unit))
  const entries = unit.changes.flatMap(({ rows }) => rows.filter(({ seq }) => seq !== undefined))
  const fold = new MembershipFold(unit.convoId, unit.final.seq - entries.length)
  for (const change of unit.changes) {
    for (const row of change.rows) {
      batch.rows.push(logRow(unit.convoId, change.entryId, row))
      fold.apply(row, change.entryId)
    }
    foldWhatIsUsed(batch, unit.convoId, change)
  }
  batch.joins.push(...fold.joins)
  batch.leaves.push(...fold.leaves.values())
  batch.welcomes.push(...fold.welcomes)
  batch.welcomeBytes.push(...fold.welcomeBytes)
  batch.withdrawals.push(...fold.withdrawals)
}

function headRow({ convoId, expectedVersion, changes, final }: Unit): Record<string, unknown> {
  const first = changes[0]!.rows[0]!
  const created = first.event.kind === 'created' ? first.event : undefined
  return {
    convo_id: convoId,
    expected_version: expectedVersion,
    cipher_suite: final.cipherSuite,
    creator: final.creator,
    name: created?.name,
    description: created?.description,
    tracking: final.tracking,
    epoch: final.epoch,
    seq: final.seq,
    version: final.version,
    log_hash: final.logHash,
    last_commit_seq: final.lastCommit?.seq,
    last_commit_epoch: final.lastCommit?.epoch,
    last_commit_sha256: final.lastCommit?.sha256,
    last_at: timestamp(final.lastAtMs),
    last_message_at: final.lastMessageAtMs === undefined ? undefined : timestamp(final.lastMessageAtMs),
    created_at: timestamp(first.atMs),
  }
}

function logRow(convoId: string, entryId: string, row: LogRow): Record<string, unknown> {
  const { event } = row
  const isEntry = event.kind === 'app' || event.kind === 'commit'
  return {
    convo_id: convoId,
    n: row.n,
    seq: row.seq,
    kind: event.kind,
    epoch: row.epoch,
    sender: event.sender,
    bytes: isEntry && event.bytes ? base64(event.bytes) : undefined,
    entry_id: entryId,
    message_id: isEntry ? event.messageId : undefined,
    content_hash: event.kind === 'app' ? event.contentHash : undefined,
    embed_type: event.kind === 'app' ? event.embedType : undefined,
    embed_uri: event.kind === 'app' ? event.embedUri : undefined,
    added: event.kind === 'welcome' ? [...new Set(event.recipients.map(({ did }) => did))] : addedBy(row),
    removed: 'removed' in event && event.removed.length > 0 ? event.removed : undefined,
    log_hash: row.logHash,
    created_at: timestamp(row.atMs),
    expires_at: event.kind === 'app' ? timestamp(event.expiresAtMs) : undefined,
  }
}

function foldWhatIsUsed(batch: BatchRows, convoId: string, change: Change): void {
  const consumedAt = timestamp(change.rows[0]!.atMs)
  for (const { did, hash } of change.keyPackages) {
    batch.keyPackages.push({ convo_id: convoId, did, hash, consumed_at: consumedAt })
  }
  if (change.tokenUse) {
    const { hash, expiresAtMs } = change.tokenUse
    batch.tokens.push({ convo_id: convoId, hash, expires_at: timestamp(expiresAtMs) })
  }
  if (!change.record) return
  const { contentHash, expiresAtMs, ...key } = change.record
  batch.records.push({
    convo_id: convoId,
    ...key,
    content_hash: contentHash,
    expires_at: timestamp(expiresAtMs),
  })
}
