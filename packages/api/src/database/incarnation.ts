import type { Sql } from '@catbird/shared/sql'

/** The number of this life of the database: a restore or a fail-over to another timeline begins a new one. */
export async function currentIncarnation(sql: Sql): Promise<number> {
  const [row] = await sql<[{ incarnation: number }]>`
    with life as (
      select s.system_identifier::text as system_identifier, c.timeline_id as timeline
      from pg_control_system() s, pg_control_checkpoint() c
    ),
    added as (
      insert into incarnations (system_identifier, timeline) select system_identifier, timeline from life
      -- Updates, since of two servers that start at once the second would neither insert nor see the row.
      on conflict (system_identifier, timeline) do update set timeline = excluded.timeline
      returning incarnation
    )
    select incarnation from added`
  return row.incarnation
}
