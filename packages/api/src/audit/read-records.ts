import type { Sql } from '@catbird/shared/sql'

export type RecordRow = { caller: string; method: string; key: string; seq: number | null; isSound: boolean }

/**
 * The next idempotency records, held against the log. A record does not say which conversation it is of, so the entry
 * is looked for in all that its caller was in; a message may have expired there. Who left by itself got no seq:
 * nothing to look for.
 */
export async function readRecords(
  sql: Sql,
  after: { caller: string; method: string; key: string },
  limit: number,
): Promise<RecordRow[]> {
  return sql<RecordRow[]>`
    with record as (
      select caller, method, key, answer,
        case when answer->>'seq' ~ '^[0-9]{1,15}$' then (answer->>'seq')::bigint end as seq
      from idempotency
      where (caller, method, key) > (${after.caller}, ${after.method}, ${after.key})
      order by caller, method, key
      limit ${limit}
    )
    select r.caller, r.method, r.key, r.seq::float8 as seq,
      case
        when r.method = 'createConvo' then
          exists (select from conversations c where c.convo_id = r.answer->>'id')
        when r.method = 'leaveConvo' and r.answer->>'seq' is null then true
        else exists (
          select from members m
          join conversations c on c.convo_id = m.convo_id and c.seq >= r.seq
          left join log l on l.convo_id = m.convo_id and l.seq = r.seq
          where m.did = r.caller
            and case
              when l.n is null then r.method = 'sendMessage'
              else l.sender = r.caller and encode(l.log_hash, 'hex') = r.answer->>'logHash'
                and l.epoch::text = coalesce(r.answer->>'newEpoch', r.answer->>'epoch')
            end)
      end as "isSound"
    from record r
    order by r.caller, r.method, r.key`
}
