import type { Sql } from '@catbird/shared/sql'

const PAGE = 500

/** The next conversations that have a log; jumps from one to the next along the primary key. */
export async function readHeadless(
  sql: Sql,
  after: string,
): Promise<{ convoId: string; isHeadless: boolean }[]> {
  return sql<{ convoId: string; isHeadless: boolean }[]>`
    with recursive owner as (
      (select convo_id, 1 as place from log where convo_id > ${after} order by convo_id limit 1)
      union all
      select following.convo_id, place + 1
      from owner cross join lateral (
        select l.convo_id from log l where l.convo_id > owner.convo_id order by l.convo_id limit 1
      ) following
      where place < ${PAGE}
    )
    select convo_id as "convoId",
      not exists (select from conversations c where c.convo_id = owner.convo_id) as "isHeadless"
    from owner`
}
