import type { Sql } from '@catbird/shared/sql'

export type KeyPackageRow = { did: string; hash: string; consumedBy: string | undefined; isUnsound: boolean }

const PAGE = 1000

/**
 * The next key packages. One that is used up says when, is used up by a conversation that exists, and is not of last
 * resort: those are never used up.
 */
export async function readKeyPackages(
  sql: Sql,
  after: { did: string; hash: string },
): Promise<KeyPackageRow[]> {
  return sql<KeyPackageRow[]>`
    select did, hash, consumed_by as "consumedBy",
      (consumed_by is null) <> (consumed_at is null)
        or consumed_by is not null
          and (last_resort or not exists (select from conversations c where c.convo_id = consumed_by))
        as "isUnsound"
    from key_packages
    where (did, hash) > (${after.did}, ${after.hash})
    order by did, hash
    limit ${PAGE}`
}
