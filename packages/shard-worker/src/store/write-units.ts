import type { Sql } from '@catbird/shared/sql'
import { foldUnits } from './fold-units.ts'
import type { Unit } from './store.ts'

/**
 * Writes a batch in one statement, which is one transaction, and returns the conversations that were written.
 *
 * A conversation is written whole or not at all. It is when its head could be taken at the expected version
 * without waiting, all its key packages are still free, and none of its idempotency keys is recorded; everything
 * else hangs on the head rows that the guarded update (or the insert of a new head) returned. `log` has no ON
 * CONFLICT: a second row for one seq or one epoch fails the batch instead of vanishing.
 */
export async function writeUnits(sql: Sql, incarnation: number, units: Unit[]): Promise<Set<string>> {
  const batch = foldUnits(units)
  const json = (name: keyof typeof batch) => sql`${JSON.stringify(batch[name])}::text::json`
  const rows = await sql<{ convo_id: string }[]>`
    with head as (
      select * from json_to_recordset(${json('heads')}) as h(
        convo_id text, expected_version bigint, cipher_suite text, creator text, name text, description text,
        tracking text, epoch bigint, seq bigint, version bigint, log_hash text, last_commit_seq bigint,
        last_commit_epoch bigint, last_commit_sha256 text, last_at timestamptz, last_message_at timestamptz,
        created_at timestamptz)
    ),
    locked as (
      select h.* from head h
      join conversations c on c.convo_id = h.convo_id and c.version = h.expected_version
      order by c.convo_id
      for no key update of c skip locked
    ),
    absent as (
      select h.* from head h
      where h.expected_version = 0
        and not exists (select from conversations c where c.convo_id = h.convo_id)
    ),
    key_package as (
      select * from json_to_recordset(${json('keyPackages')})
        as k(convo_id text, did text, hash text, consumed_at timestamptz)
    ),
    taken as (
      select w.*, k.did is not null as is_free from key_package w
      left join lateral (
        select did from key_packages k
        where k.did = w.did and k.hash = w.hash and k.consumed_by is null
        for update skip locked
      ) k on true
    ),
    record as (
      select * from json_to_recordset(${json('records')}) as r(
        convo_id text, caller text, method text, key text, content_hash text, answer json,
        expires_at timestamptz)
    ),
    allowed as (
      select * from (select * from locked union all select * from absent) h
      where not exists (select from taken t where t.convo_id = h.convo_id and not t.is_free)
        and not exists (
          select from record r join idempotency i using (caller, method, key) where r.convo_id = h.convo_id)
    ),
    created as (
      insert into conversations (
        convo_id, cipher_suite, creator, name, description, tracking, epoch, seq, version, log_hash,
        last_commit_seq, last_commit_epoch, last_commit_sha256, last_at, last_message_at, created_at,
        incarnation, pos)
      select convo_id, cipher_suite, creator, name, description, tracking, epoch, seq, version,
        decode(log_hash, 'hex'), last_commit_seq, last_commit_epoch, decode(last_commit_sha256, 'hex'),
        last_at, last_message_at, created_at, ${incarnation}, pg_current_xact_id()::text::bigint
      from allowed
      where expected_version = 0
      order by convo_id
      on conflict (convo_id) do nothing
      returning convo_id, pos
    ),
    updated as (
      update conversations c set
        creator = h.creator, tracking = h.tracking, epoch = h.epoch, seq = h.seq, version = h.version,
        log_hash = decode(h.log_hash, 'hex'), last_commit_seq = h.last_commit_seq,
        last_commit_epoch = h.last_commit_epoch, last_commit_sha256 = decode(h.last_commit_sha256, 'hex'),
        last_at = h.last_at, last_message_at = h.last_message_at, incarnation = ${incarnation},
        pos = greatest(pg_current_xact_id()::text::bigint,
          case when c.incarnation = ${incarnation} then c.pos else 0 end)
      from allowed h
      where c.convo_id = h.convo_id and c.version = h.expected_version
      returning c.convo_id, c.pos
    ),
    written as (select * from created union all select * from updated),
    entries as (
      insert into log (
        convo_id, n, seq, kind, epoch, sender, bytes, entry_id, message_id, content_hash, embed_type, embed_uri,
        added, removed, log_hash, created_at, expires_at, incarnation, pos)
      select convo_id, n, seq, kind, epoch, sender, decode(bytes, 'base64'), entry_id, message_id, content_hash,
        embed_type, embed_uri, added, removed, decode(log_hash, 'hex'), created_at, expires_at,
        ${incarnation}, w.pos
      from json_to_recordset(${json('rows')}) as r(
        convo_id text, n bigint, seq bigint, kind text, epoch bigint, sender text, bytes text, entry_id uuid,
        message_id text, content_hash text, embed_type text, embed_uri text, added text[], removed text[],
        log_hash text, created_at timestamptz, expires_at timestamptz)
      join written w using (convo_id)
    ),
    closed as (
      update members m set left_n = l.left_n, left_at = l.left_at, to_seq = l.to_seq
      from json_to_recordset(${json('leaves')})
        as l(convo_id text, did text, left_n bigint, left_at timestamptz, to_seq bigint)
      join written w using (convo_id)
      where m.convo_id = l.convo_id and m.did = l.did and m.left_n is null
      returning 1
    ),
    opened as (
      insert into members (
        convo_id, did, joined_n, joined_index, from_seq, to_seq, left_n, joined_at, left_at)
      select convo_id, did, joined_n, joined_index, from_seq, to_seq, left_n, joined_at, left_at
      from json_to_recordset(${json('joins')}) as j(
        convo_id text, did text, joined_n bigint, joined_index integer, from_seq bigint, to_seq bigint,
        left_n bigint, joined_at timestamptz, left_at timestamptz)
      join written w using (convo_id)
      -- After the closing of intervals: a member that left and came back in one batch has one open interval.
      where (select count(*) from closed) is not null
    ),
    welcome_bytes_added as (
      insert into welcome_bytes (entry_id, convo_id, bytes)
      select entry_id, convo_id, decode(bytes, 'base64')
      from json_to_recordset(${json('welcomeBytes')}) as b(entry_id uuid, convo_id text, bytes text)
      join written w using (convo_id)
    ),
    withdrawn as (
      update welcomes o set withdrawn_n = d.n
      from json_to_recordset(${json('withdrawals')})
        as d(convo_id text, did text, n bigint, key_package_hash text)
      join written w using (convo_id)
      where o.convo_id = d.convo_id and o.did = d.did and o.n < d.n
        and o.key_package_hash = coalesce(d.key_package_hash, o.key_package_hash)
        and o.consumed_at is null and o.withdrawn_n is null
    ),
    welcomes_added as (
      insert into welcomes (
        convo_id, did, n, key_package_hash, key_package_ref, entry_id, created_at, withdrawn_n)
      select convo_id, did, n, key_package_hash, key_package_ref, entry_id, created_at, withdrawn_n
      from json_to_recordset(${json('welcomes')}) as v(
        convo_id text, did text, n bigint, key_package_hash text, key_package_ref text, entry_id uuid,
        created_at timestamptz, withdrawn_n bigint)
      join written w using (convo_id)
    ),
    consumed as (
      update key_packages k set consumed_by = t.convo_id, consumed_at = t.consumed_at
      from taken t join written w using (convo_id)
      where k.did = t.did and k.hash = t.hash
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
