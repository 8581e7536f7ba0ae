import type { Sql } from '@catbird/shared/sql'

/** What a log row does to one DID, the `place`th of its list from 1, and whether the row that must follow is there. */
export type MembershipChange = {
  n: number
  change: 'added' | 'removed' | 'invited'
  place: number
  isStored: boolean
  /** Of the interval that a removal closes. */
  toSeq: number | null
}

/** What the log rows after `after` up to `to` do to members, by row number. */
export async function readChanges(
  sql: Sql,
  convoId: string,
  after: number,
  to: number,
): Promise<Map<number, MembershipChange[]>> {
  const changes = await sql<MembershipChange[]>`
    with page as (
      select n, kind, added, removed from log
      where convo_id = ${convoId} and n > ${after} and n <= ${to} and kind <> 'app'
    )
    select p.n::float8 as n, 'added' as change, d.place::integer, m.did is not null as "isStored",
      null::float8 as "toSeq"
    from page p cross join lateral unnest(p.added) with ordinality d(did, place)
    left join members m on m.convo_id = ${convoId} and m.did = d.did and m.joined_n = p.n
    where p.kind <> 'welcome'
    union all
    select p.n::float8, 'removed', d.place::integer, m.did is not null, m.to_seq::float8
    from page p cross join lateral unnest(p.removed) with ordinality d(did, place)
    left join members m on m.convo_id = ${convoId} and m.did = d.did and m.left_n = p.n
    union all
    select p.n::float8, 'invited', d.place::integer,
      exists (select from welcomes w where w.convo_id = ${convoId} and w.did = d.did and w.n = p.n), null
    from page p cross join lateral unnest(p.added) with ordinality d(did, place)
    where p.kind = 'welcome'`
  return Map.groupBy(changes, ({ n }) => n)
}
