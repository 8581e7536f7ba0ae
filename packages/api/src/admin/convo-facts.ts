import type { Sql } from '@catbird/shared/sql'

/** What operators may see of a conversation: no message bytes. */
export type ConvoFacts = {
  epoch: number
  seq: number
  version: number
  tracking: string
  creator: string
  /** Active members, longest-standing first. */
  members: string[]
  /** Entries that are in the database still. */
  entries: number
  oldestSeq: number | null
  lastAt: Date
  openWelcomes: number
}

export async function readConvoFacts(sql: Sql, convoId: string): Promise<ConvoFacts | undefined> {
  const [facts] = await sql<ConvoFacts[]>`
    select c.epoch::float8 as epoch, c.seq::float8 as seq, c.version::float8 as version, c.tracking, c.creator,
      array(
        select m.did from members m where m.convo_id = c.convo_id and m.left_n is null
        order by m.joined_n, m.joined_index) as members,
      l.entries, l."oldestSeq", c.last_at as "lastAt",
      (select count(*)::integer from welcomes w
        where w.convo_id = c.convo_id and w.consumed_at is null and w.withdrawn_n is null) as "openWelcomes"
    from conversations c,
    lateral (
      select count(*)::integer as entries, min(l.seq)::float8 as "oldestSeq" from log l
      where l.convo_id = c.convo_id and l.seq is not null
    ) l
    where c.convo_id = ${convoId}`
  return facts
}
