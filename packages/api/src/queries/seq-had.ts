import type { Sql } from '@catbird/shared/sql'
import { isShown } from '../events/log-row.ts'
import type { Snapshot } from '../events/snapshot.ts'
import type { StreamCursor } from '../events/stream-cursor.ts'
import { invalidCursor } from './cursor.ts'

const NOTHING: Snapshot = { xmax: 0, xip: [] }

/**
 * Seq of the newest entry of a conversation that a reader with this cursor has had; 0 for none.
 *
 * @throws RefusalError InvalidCursor for one of a stream of another conversation, or of the future
 */
export async function seqHadBy(sql: Sql, convoId: string, cursor: StreamCursor): Promise<number> {
  if (cursor.convoId !== undefined && cursor.convoId !== convoId) throw invalidCursor()
  const { place, since, target, tag } = cursor
  const own = place?.convoId === convoId ? place.seq : 0
  const shown = since.kind === 'snapshot' ? since.snapshot : NOTHING
  const [row] = await sql<{ is_future: boolean; seq: number | null }[]>`
    with life as (
      select max(incarnation) as incarnation, pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_id
      from incarnations where replace(tag::text, '-', '') like ${`${tag}%`}
    )
    select incarnation = (select max(incarnation) from incarnations)
        and greatest(${shown.xmax}::bigint, ${target?.snapshot.xmax ?? 0}::bigint) > next_id as is_future,
      (select l.seq from log l
        where l.convo_id = ${convoId} and l.seq is not null
          -- Of another life of the database its positions say nothing.
          and (l.incarnation < life.incarnation
            or (l.incarnation = life.incarnation and (${isShown(sql, 'l.pos', shown)}
              or (${convoId}::text < ${place?.convoId ?? ''}::text and ${isShown(sql, 'l.pos', target?.snapshot ?? NOTHING)}))))
          and ${since.kind === 'snapshot' || target !== undefined}
        order by l.seq desc limit 1)::float8 as seq
    from life`
  if (row?.is_future) throw invalidCursor()
  return Math.max(own, row?.seq ?? 0)
}
