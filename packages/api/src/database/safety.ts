import type { Sql } from 'postgres'

/** `jsonb`, identity columns and generated columns go further back; 14 is the oldest that is still maintained. */
const OLDEST_VERSION = 14

/** The database would lose acknowledged messages, or cannot serve. Each problem begins with the setting's name. */
export class UnsafeDatabaseError extends Error {
  override name = 'UnsafeDatabaseError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`The database cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/**
 * Throws one `UnsafeDatabaseError` that lists everything about the database that must be put right before it may
 * be used, for a server that will open `connectionsNeeded` connections (the one of `sql` among them).
 */
export async function checkDatabase(sql: Sql, connectionsNeeded: number): Promise<void> {
  const facts = await readFacts(sql)
  const problems = [
    ...offSettings(facts),
    facts.version < OLDEST_VERSION &&
      `server_version is ${facts.version}: ${OLDEST_VERSION} or later is needed`,
    facts.is_in_recovery && 'pg_is_in_recovery is true: this is a standby, which takes no writes',
    facts.is_read_only && 'default_transaction_read_only is on: every write would fail',
    facts.free_connections < connectionsNeeded &&
      `max_connections leaves ${facts.free_connections} of ${facts.max_connections} connections: ` +
        `${connectionsNeeded} are needed (lower DATABASE_POOL_MAX or SHARD_COUNT, or raise it)`,
  ].filter((problem) => problem !== false)
  if (problems.length > 0) throw new UnsafeDatabaseError(problems)
}

type Facts = {
  version: number
  fsync: boolean
  full_page_writes: boolean
  synchronous_commit: boolean
  is_read_only: boolean
  is_in_recovery: boolean
  max_connections: number
  free_connections: number
}

const LOSS = {
  fsync: 'a crash of the machine would lose or corrupt acknowledged messages',
  full_page_writes: 'a crash of the machine could corrupt pages for good',
  synchronous_commit: 'a crash would lose messages that were already acknowledged',
} as const

function offSettings(facts: Facts): string[] {
  const names = Object.keys(LOSS) as (keyof typeof LOSS)[]
  return names.filter((name) => !facts[name]).map((name) => `${name} is off: ${LOSS[name]}`)
}

async function readFacts(sql: Sql): Promise<Facts> {
  // What others hold is counted by datid, which is shown to every role. A limit of −1 is none.
  const [facts] = await sql<Facts[]>`
    with sessions as (
      select datid, usename from pg_stat_activity
      where datid is not null
        and coalesce(backend_type, 'client backend') = 'client backend'
        and pid <> pg_backend_pid()
    ), limits as (
      select current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0)
           - (select count(*) from sessions) as free
      union all
      select datconnlimit - (select count(*) from sessions s where s.datid = d.oid)
      from pg_database d where datname = current_database() and datconnlimit >= 0
      union all
      select rolconnlimit - (select count(*) from sessions where usename = rolname)
      from pg_roles where rolname = current_user and rolconnlimit >= 0
    )
    select current_setting('server_version_num')::int / 10000 as version,
           current_setting('fsync')::bool as fsync,
           current_setting('full_page_writes')::bool as full_page_writes,
           current_setting('synchronous_commit') <> 'off' as synchronous_commit,
           current_setting('default_transaction_read_only')::bool as is_read_only,
           pg_is_in_recovery() as is_in_recovery,
           current_setting('max_connections')::int as max_connections,
           (select min(free) from limits)::int as free_connections`
  if (!facts) throw new Error('The database does not tell its settings')
  return facts
}
