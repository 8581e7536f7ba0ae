import type { Sql } from '@catbird/shared/sql'

/** One life of the database. `tag` is short and never the same for two lives, also when their numbers are. */
export type Incarnation = { incarnation: number; tag: string }

/**
 * The life that the database is in: a restore, or a fail-over to another timeline, begins a new one. Positions of rows
 * compare within one life only.
 */
export async function currentIncarnation(sql: Sql): Promise<Incarnation> {
  const [row] = await sql<[Incarnation]>`
    with life as (${presentLife(sql)}),
    added as (
      insert into incarnations (system_identifier, timeline) select system_identifier, timeline from life
      -- Updates, since of two servers that start at once the second would neither insert nor see the row.
      on conflict (system_identifier, timeline) do update set timeline = excluded.timeline
      returning incarnation, tag
    )
    select incarnation, left(replace(tag::text, '-', ''), 12) as tag from added`
  return row
}

/** Whether the database is still in that life. */
export async function isSameLife(sql: Sql, { incarnation }: Incarnation): Promise<boolean> {
  const [row] = await sql<[{ is_same: boolean }]>`
    with life as (${presentLife(sql)})
    select exists (
      select from incarnations join life using (system_identifier, timeline)
      where incarnation = ${incarnation}) as is_same`
  return row.is_same
}

/**
 * The timeline of the WAL that is being written: the control file tells a new one only after the next checkpoint. The log
 * has another object id after a restore from a dump, also into the same cluster; a copy of the database has another one.
 */
function presentLife(sql: Sql) {
  return sql`
    select concat_ws('/', system_identifier, (select oid from pg_database where datname = current_database()),
        'log'::regclass::oid) as system_identifier,
      ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer as timeline
    from pg_control_system()`
}
