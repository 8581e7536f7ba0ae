import type { Sql } from '@catbird/shared/sql'

const PAGE = 500

/**
 * The next conversations in id order. Those that did not change since are read too and marked: a page must end
 * after so many rows, not after so many hits.
 */
export async function readConvoIds(
  sql: Sql,
  after: string,
  sinceMs: number,
): Promise<{ convoId: string; isWanted: boolean }[]> {
  return sql<{ convoId: string; isWanted: boolean }[]>`
    select convo_id as "convoId", last_at >= to_timestamp(${sinceMs}::float8 / 1000) as "isWanted"
    from conversations
    where convo_id > ${after}
    order by convo_id
    limit ${PAGE}`
}
