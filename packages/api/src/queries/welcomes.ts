import type { Sql } from '@catbird/shared/sql'

/** `keyPackageHash` is the hash of the package as published or its KeyPackageRef. */
export type WelcomeKey = { convoId: string; did: string; keyPackageHash?: string }

type Found = { bytes: Buffer; keyPackageHash: string }

/** The Welcome to try next: the newest that is neither confirmed nor withdrawn; those that failed come last. */
export async function findWelcome(sql: Sql, key: WelcomeKey): Promise<Found | 'consumed' | 'none'> {
  const rows = await sql<{ key_package_hash: string; consumed: boolean; bytes: Buffer | null }[]>`
    select w.key_package_hash, w.consumed_at is not null as consumed,
      case when w.consumed_at is null then b.bytes end as bytes
    from welcomes w left join welcome_bytes b using (entry_id)
    where ${isKey(sql, key)} and w.withdrawn_n is null
    order by w.consumed_at is not null, w.failed_at nulls first, w.n desc
    limit 1`
  const [first] = rows
  if (!first) return 'none'
  if (first.consumed || !first.bytes) return 'consumed'
  return { bytes: first.bytes, keyPackageHash: first.key_package_hash }
}

export type Confirmation = { success: true } | { success: false; failure?: string }

/**
 * Confirms the Welcome that `findWelcome` gives: it is done with, or goes behind the others with its error kept.
 * One guarded statement. False when there is none to confirm; what is done with already is confirmed again.
 */
export async function confirmWelcome(
  sql: Sql,
  key: WelcomeKey,
  confirmation: Confirmation,
): Promise<boolean> {
  const failure = confirmation.success ? null : (confirmation.failure ?? '')
  const [row] = await sql<{ confirmed: boolean }[]>`
    with chosen as (
      select w.convo_id, w.did, w.n, w.key_package_hash from welcomes w
      where ${isKey(sql, key)} and w.withdrawn_n is null and w.consumed_at is null
      order by w.failed_at nulls first, w.n desc
      limit 1
    ),
    updated as (
      update welcomes w set
        consumed_at = case when ${confirmation.success} then now() end,
        failed_at = case when ${confirmation.success} then w.failed_at else now() end,
        failure = ${failure}
      from chosen c
      where (w.convo_id, w.did, w.n, w.key_package_hash) = (c.convo_id, c.did, c.n, c.key_package_hash)
        and w.withdrawn_n is null and w.consumed_at is null
      returning 1
    )
    select exists (select from updated) or (${confirmation.success} and exists (
      select from welcomes w where ${isKey(sql, key)} and w.withdrawn_n is null
    )) as confirmed`
  return row!.confirmed
}

function isKey(sql: Sql, { convoId, did, keyPackageHash }: WelcomeKey) {
  const named =
    keyPackageHash === undefined
      ? sql``
      : sql`and (w.key_package_hash = ${keyPackageHash} or w.key_package_ref = ${keyPackageHash})`
  return sql`w.convo_id = ${convoId} and w.did = ${did} ${named}`
}
