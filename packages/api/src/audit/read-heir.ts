import type { Sql } from '@catbird/shared/sql'

/** Who took over when the creator left with row `n`: the longest-standing of those that stayed. */
export async function readHeir(sql: Sql, convoId: string, n: number): Promise<string | undefined> {
  const [heir] = await sql<{ did: string }[]>`
    select did from members
    where convo_id = ${convoId} and joined_n < ${n} and (left_n is null or left_n > ${n})
    order by joined_n, joined_index
    limit 1`
  return heir?.did
}
