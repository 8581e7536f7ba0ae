import type { Sql } from '@catbird/shared/sql'
import type { Fragment, RowsOf } from './statement.ts'

/** The parts of a batch's statement that create conversations and change who belongs to them. */
export type MembershipWrites = { guards: Fragment; creation: Fragment; changes: Fragment }

export function membershipWrites(sql: Sql, incarnation: number, rowsOf: RowsOf): MembershipWrites {
  return {
    guards: guards(sql, rowsOf),
    creation: creation(sql, incarnation),
    changes: sql`${intervals(sql, rowsOf)} ${welcomes(sql, rowsOf)}`,
  }
}

/** Which conversations may be created, and which key packages could be taken without waiting. */
function guards(sql: Sql, rowsOf: RowsOf): Fragment {
  return sql`
    absent as (
      select h.* from head h
      where h.expected_version = 0
        and not exists (select from conversations c where c.convo_id = h.convo_id)
    ),
    key_package as (
      select * from json_to_recordset(${rowsOf('keyPackages')})
        as k(convo_id text, did text, hash text, consumed_at timestamptz)
    ),
    taken as (
      select w.*, k.did is not null as is_free from key_package w
      left join lateral (
        select did from key_packages k
        where k.did = w.did and k.hash = w.hash and k.consumed_by is null
        for update skip locked
      ) k on true
    ),`
}

function creation(sql: Sql, incarnation: number): Fragment {
  return sql`
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
    ),`
}

function intervals(sql: Sql, rowsOf: RowsOf): Fragment {
  return sql`
    closed as (
      update members m set left_n = l.left_n, left_at = l.left_at, to_seq = l.to_seq
      from json_to_recordset(${rowsOf('leaves')})
        as l(convo_id text, did text, left_n bigint, left_at timestamptz, to_seq bigint)
      join written w using (convo_id)
      where m.convo_id = l.convo_id and m.did = l.did and m.left_n is null
      returning 1
    ),
    opened as (
      insert into members (
        convo_id, did, joined_n, joined_index, from_seq, to_seq, left_n, joined_at, left_at)
      select convo_id, did, joined_n, joined_index, from_seq, to_seq, left_n, joined_at, left_at
      from json_to_recordset(${rowsOf('joins')}) as j(
        convo_id text, did text, joined_n bigint, joined_index integer, from_seq bigint, to_seq bigint,
        left_n bigint, joined_at timestamptz, left_at timestamptz)
      join written w using (convo_id)
      -- After the closing of intervals: a member that left and came back in one batch has one open interval.
      where (select count(*) from closed) is not null
    ),`
}

/** Welcomes and the key packages that came with them. */
function welcomes(sql: Sql, rowsOf: RowsOf): Fragment {
  return sql`
    welcome_bytes_added as (
      insert into welcome_bytes (entry_id, convo_id, bytes)
      select entry_id, convo_id, decode(bytes, 'base64')
      from json_to_recordset(${rowsOf('welcomeBytes')}) as b(entry_id uuid, convo_id text, bytes text)
      join written w using (convo_id)
    ),
    withdrawn as (
      update welcomes o set withdrawn_n = d.n
      from json_to_recordset(${rowsOf('withdrawals')})
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
      from json_to_recordset(${rowsOf('welcomes')}) as v(
        convo_id text, did text, n bigint, key_package_hash text, key_package_ref text, entry_id uuid,
        created_at timestamptz, withdrawn_n bigint)
      join written w using (convo_id)
    ),
    consumed as (
      update key_packages k set consumed_by = t.convo_id, consumed_at = t.consumed_at
      from taken t join written w using (convo_id)
      where k.did = t.did and k.hash = t.hash
    ),`
}
