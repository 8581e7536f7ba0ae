import type { TokenUse } from '@catbird/shared/commands'
import { RefusalError } from '@catbird/shared/errors'
import type { Pool, Sql } from '@catbird/shared/sql'

/**
 * Runs the writes of a procedure in the transaction that uses its token up: a second use, in whatever process,
 * changes nothing and is refused. Development tokens have no use to note.
 */
export async function usingToken<T>(
  sql: Pool,
  tokenUse: TokenUse | undefined,
  write: (sql: Sql) => Promise<T>,
): Promise<T> {
  if (!tokenUse) return write(sql)
  return (await sql.begin(async (transaction) => {
    await useToken(transaction, tokenUse)
    return write(transaction)
  })) as T
}

/** Notes that a token has been used; throws `RefusalError` ReplayedToken when it was already. */
export async function useToken(sql: Sql, { hash, expiresAtMs }: TokenUse): Promise<void> {
  const { count } = await sql`
    insert into used_tokens (hash, expires_at)
    values (decode(${hash}::text, 'hex'), to_timestamp(${expiresAtMs / 1000}::float8))
    on conflict do nothing`
  if (count === 0) throw new RefusalError('ReplayedToken', 'the token has been used')
}
