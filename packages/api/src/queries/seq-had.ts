import type { Sql } from '@catbird/shared/sql'
import { isShown } from '../events/log-row.ts'
import type { StreamCursor } from '../events/stream-cursor.ts'
import { invalidCursor } from './cursor.ts'

/**
 * Seq of the newest entry of a conversation that a reader with this cursor has had; 0 for none.
 *
 * @throws RefusalError InvalidCursor for one of a stream of another conversation
 */
export async function seqHadBy(sql: Sql, convoId: string, cursor: StreamCursor): Promise<number> {
  if (cursor.convoId !== undefined && cursor.convoId !== convoId) throw invalidCursor()
  const { place, since, tag } = cursor
  const own = place?.convoId === convoId ? place.seq : 0
  if (since.kind !== 'snapshot') return own
  // Of another life of the database its positions say nothing.
  const [row] = await sql<{ seq: number }[]>`
    with life as (
      select max(incarnation) as incarnation from incarnations where replace(tag::text, '-', '') like ${`${tag}%`}
    )
    select l.seq::float8 as seq from log l, life
    where l.convo_id = ${convoId} and l.seq is not null and life.incarnation is not null
      and (l.incarnation < life.incarnation
        or (l.incarnation = life.incarnation and ${isShown(sql, 'l.pos', since.snapshot)}))
    order by l.seq desc limit 1`
  return Math.max(own, row?.seq ?? 0)
}
