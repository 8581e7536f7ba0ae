import postgres from 'postgres'
import { ARRAY_TYPES } from './sql-arrays.ts'

/** A connection pool, or a transaction on one connection of it. */
export type Sql = postgres.ISql<Record<string, never>>
export type Pool = postgres.Sql<Record<string, never>>

export type PoolOptions = {
  max: number
  /** Seen in pg_stat_activity. */
  name: string
  statementTimeoutMs: number
}

/**
 * Opens a pool; a `search_path` in the URL names the schema. The driver has no deadlines of its own, so the server gets
 * them: no statement, wait for a lock or forgotten transaction lasts longer than they say.
 */
export function openPool(url: string, { max, name, statementTimeoutMs }: PoolOptions): Pool {
  return postgres(url, {
    max,
    connect_timeout: 5,
    idle_timeout: 0,
    fetch_types: false,
    types: ARRAY_TYPES,
    onnotice: () => {},
    connection: {
      application_name: `catbird-mls ${name}`,
      statement_timeout: statementTimeoutMs,
      lock_timeout: statementTimeoutMs,
      idle_in_transaction_session_timeout: 5000,
      // Statements take arrays and JSON of varying length, whose plan is always the same walk along indexes;
      // planning them anew costs more than running them.
      plan_cache_mode: 'force_generic_plan',
      // A plan made while a table was small must not read the whole of it for good.
      enable_seqscan: 'off',
      enable_hashjoin: 'off',
      enable_mergejoin: 'off',
    },
  }) as unknown as Pool
}

/** Rejects with `error()` when `promise` has not settled in time; the promise itself goes on. */
export async function withDeadline<T>(promise: Promise<T>, ms: number, error: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(error()), ms)
  })
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clearTimeout(timer)
  }
}
