import type { Sql } from '@catbird/shared/sql'

/** A membership interval and what is wrong with it. */
export type IntervalRow = {
  did: string
  joinedN: number
  /** Number in the list of the log row that opened it, from 1. */
  place: number
  isJoinUnrecorded: boolean
  isLeaveUnrecorded: boolean
  isFromSeqWrong: boolean
  isInverted: boolean
  isOverlapping: boolean
  /** Said once per member, at its first interval. */
  isCursorAhead: boolean
}

/** The next intervals of a conversation, by DID and beginning, held against the log. */
export async function readIntervals(
  sql: Sql,
  convoId: string,
  after: { did: string; joinedN: number },
  limit: number,
): Promise<IntervalRow[]> {
  return sql<IntervalRow[]>`
    select m.did, m.joined_n::float8 as "joinedN", m.joined_index + 1 as place,
      j.n is null or j.kind = 'welcome' or m.did is distinct from j.added[m.joined_index + 1]
        as "isJoinUnrecorded",
      m.left_n is not null and (m.did = any(l.removed)) is not true as "isLeaveUnrecorded",
      coalesce(m.from_seq <> coalesce(j.seq, 1), false) as "isFromSeqWrong",
      coalesce(m.left_n < m.joined_n or m.to_seq < m.from_seq - 1, false) as "isInverted",
      exists (
        select from members e
        where e.convo_id = m.convo_id and e.did = m.did and e.joined_n < m.joined_n
          and (e.left_n is null or e.left_n > m.joined_n or e.to_seq >= m.from_seq)) as "isOverlapping",
      r.seq is not null and not exists (
        select from members e
        where e.convo_id = m.convo_id and e.did = m.did and e.joined_n < m.joined_n) as "isCursorAhead"
    from members m
    join conversations c using (convo_id)
    left join log j on j.convo_id = m.convo_id and j.n = m.joined_n
    left join log l on l.convo_id = m.convo_id and l.n = m.left_n
    left join cursors r on r.did = m.did and r.convo_id = m.convo_id and r.seq > c.seq
    where m.convo_id = ${convoId} and (m.did, m.joined_n) > (${after.did}, ${after.joinedN})
    order by m.did, m.joined_n
    limit ${limit}`
}
