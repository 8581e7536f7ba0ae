import type { Sql } from '@catbird/shared/sql'

/** A Welcome and what is wrong with it. */
export type WelcomeRow = {
  did: string
  n: number
  keyPackageHash: string
  isUnfounded: boolean
  lacksBytes: boolean
  isWithdrawnByNothing: boolean
  isPackageElsewhere: boolean
}

/**
 * The next Welcomes of a conversation, held against the log and the key packages. The commit or creation that a
 * Welcome came with is one command with it: it bears the same entry id and lies at most one row, of the members
 * listed at creation, further back. A key package younger than the Welcome was published again after it expired.
 */
export async function readWelcomes(
  sql: Sql,
  convoId: string,
  after: { did: string; n: number; keyPackageHash: string },
  limit: number,
): Promise<WelcomeRow[]> {
  return sql<WelcomeRow[]>`
    select w.did, w.n::float8 as n, w.key_package_hash as "keyPackageHash",
      (l.kind = 'welcome' and l.entry_id = w.entry_id) is not true
        or not exists (
          select from log e
          where e.convo_id = w.convo_id and e.n between w.n - 2 and w.n - 1 and e.entry_id = w.entry_id
            and e.kind in ('created', 'commit')) as "isUnfounded",
      w.consumed_at is null and w.withdrawn_n is null
        and (b.convo_id = w.convo_id and octet_length(b.bytes) > 0) is not true as "lacksBytes",
      w.withdrawn_n is not null and (w.withdrawn_n > w.n and x.kind in ('commit', 'left', 'welcome')) is not true
        as "isWithdrawnByNothing",
      k.hash is not null and k.created_at <= w.created_at and not k.last_resort
        and k.consumed_by is distinct from w.convo_id as "isPackageElsewhere"
    from welcomes w
    left join log l on l.convo_id = w.convo_id and l.n = w.n
    left join log x on x.convo_id = w.convo_id and x.n = w.withdrawn_n
    left join welcome_bytes b on b.entry_id = w.entry_id
    left join key_packages k on k.did = w.did and k.hash = w.key_package_hash
    where w.convo_id = ${convoId}
      and (w.did, w.n, w.key_package_hash) > (${after.did}, ${after.n}, ${after.keyPackageHash})
    order by w.did, w.n, w.key_package_hash
    limit ${limit}`
}
