import type { Sql } from '@catbird/shared/sql'
import { type BatchRows, foldUnits } from './fold-units.ts'
import type { RowsOf } from './statement.ts'
import type { Unit } from './store.ts'
import { membershipWrites } from './write-membership.ts'

/**
 * Writes a batch in one statement, which is one transaction, and returns the conversations that were written.
 *
 * A conversation is written whole or not at all. It is when its head could be taken at the expected version
 * without waiting, all its key packages are still free, and none of its idempotency keys or tokens was used; everything
 * else hangs on the head rows that the guarded update (or the insert of a new head) returned. `log` has no ON
 * CONFLICT: a second row for one seq or one epoch fails the batch instead of vanishing.
 *
 * The statement has two shapes, so that a batch of messages does not pay for the parts that only changes of
 * membership need.
 */
export async function writeUnits(sql: Sql, incarnation: number, units: Unit[]): Promise<Set<string>> {
  const batch = foldUnits(units)
  const rowsOf: RowsOf = (name) => sql`${JSON.stringify(batch[name])}::text::json`
  const isPlain = isOnlyEntries(batch)
  const membership = isPlain ? undefined : membershipWrites(sql, incarnation, rowsOf)
  const rows = await sql<{ convo_id: string }[]>`
    with head as (
      select * from json_to_recordset(${rowsOf('heads')}) as h(
        convo_id text, expected_version bigint, cipher_suite text, creator text, name text, description text,
        tracking text, epoch bigint, seq bigint, version bigint, log_hash text, last_commit_seq bigint,
        last_commit_epoch bigint, last_commit_sha256 text, last_at timestamptz, last_message_at timestamptz,
        created_at timestamptz)
    ),
    locked as (
      select h.* from head h
      join conversations c on c.convo_id = h.convo_id and c.version = h.expected_version
        -- A row's position is the id of its transaction; within a conversation positions only rise.
        and (c.incarnation <> ${incarnation} or c.pos < pg_current_xact_id()::text::bigint)
      order by c.convo_id
      for no key update of c skip locked
    ),
    record as (
      select * from json_to_recordset(${rowsOf('records')}) as r(
        convo_id text, caller text, method text, key text, content_hash text, answer json,
        expires_at timestamptz)
    ),
    token as (
      select convo_id, decode(hash, 'hex') as hash, expires_at
      from json_to_recordset(${rowsOf('tokens')}) as t(convo_id text, hash text, expires_at timestamptz)
    ),
    ${membership?.guards ?? sql``}
    allowed as (
      select * from ${membership ? sql`(select * from locked union all select * from absent)` : sql`locked`} h
      -- A process that has not noticed that the database was restored must not go on.
      where not exists (select from incarnations where incarnation > ${incarnation})
        and not exists (
          select from record r join idempotency i using (caller, method, key) where r.convo_id = h.convo_id)
        and not exists (select from token t join used_tokens u using (hash) where t.convo_id = h.convo_id)
        ${membership ? sql`and not exists (select from taken t where t.convo_id = h.convo_id and not t.is_free)` : sql``}
    ),
    updated as (
      update conversations c set
        creator = h.creator, tracking = h.tracking, epoch = h.epoch, seq = h.seq, version = h.version,
        log_hash = decode(h.log_hash, 'hex'), last_commit_seq = h.last_commit_seq,
        last_commit_epoch = h.last_commit_epoch, last_commit_sha256 = decode(h.last_commit_sha256, 'hex'),
        last_at = h.last_at, last_message_at = h.last_message_at, incarnation = ${incarnation},
        pos = pg_current_xact_id()::text::bigint
      from allowed h
      where c.convo_id = h.convo_id and c.version = h.expected_version
      returning c.convo_id, c.pos
    ),
    ${membership?.creation ?? sql``}
    written as (select * from updated ${membership ? sql`union all select * from created` : sql``}),
    entries as (
      insert into log (
        convo_id, n, seq, kind, epoch, sender, bytes, entry_id, message_id, content_hash, embed_type, embed_uri,
        added, removed, log_hash, created_at, expires_at, incarnation, pos)
      select convo_id, n, seq, kind, epoch, sender, decode(bytes, 'base64'), entry_id, message_id, content_hash,
        embed_type, embed_uri, added, removed, decode(log_hash, 'hex'), created_at, expires_at,
        ${incarnation}, w.pos
      from json_to_recordset(${rowsOf('rows')}) as r(
        convo_id text, n bigint, seq bigint, kind text, epoch bigint, sender text, bytes text, entry_id uuid,
        message_id text, content_hash text, embed_type text, embed_uri text, added text[], removed text[],
        log_hash text, created_at timestamptz, expires_at timestamptz)
      join written w using (convo_id)
    ),
    ${membership?.changes ?? sql``}
    used as (
      insert into used_tokens (hash, expires_at)
      select hash, expires_at from token join written w using (convo_id)
      order by hash
    ),
    recorded as (
      insert into idempotency (caller, method, key, content_hash, answer, expires_at)
      select caller, method, key, content_hash, answer, expires_at
      from record join written w using (convo_id)
      order by caller, method, key
    )
    select convo_id from written`
  return new Set(rows.map((row) => row.convo_id))
}

function isOnlyEntries(batch: BatchRows): boolean {
  const { heads, joins, leaves, welcomes, withdrawals, keyPackages } = batch
  const isNew = heads.some((head) => head.expected_version === 0)
  return !isNew && [joins, leaves, welcomes, withdrawals, keyPackages].every(({ length }) => length === 0)
}
