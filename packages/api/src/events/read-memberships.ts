import type { Sql } from '@catbird/shared/sql'

/** A stream's reader and, when it is of one conversation only, that one. */
export type Reader = { did: string; convoId?: string }

/** For each reader the conversations that it is a member of now, in order of the readers. */
export async function readMemberships(sql: Sql, readers: readonly Reader[]): Promise<string[][]> {
  const wanted = readers.map(({ did, convoId }, i) => ({ i, did, convo_id: convoId }))
  const rows = await sql<{ i: number; convo_id: string }[]>`
    select w.i, m.convo_id
    from json_to_recordset(${JSON.stringify(wanted)}::text::json) as w(i integer, did text, convo_id text)
    join members m on m.did = w.did and m.left_n is null and (w.convo_id is null or m.convo_id = w.convo_id)`
  const found: string[][] = readers.map(() => [])
  for (const { i, convo_id } of rows) found[i]!.push(convo_id)
  return found
}
