import { encodeBase64 } from '@catbird/shared/bytes'
import type { KeyPackageRef } from '@catbird/shared/lexicon'
import type { Sql } from '@catbird/shared/sql'

export type NewKeyPackage = {
  did: string
  hash: string
  ref?: string
  identity: string
  cipherSuite: string
  bytes: Uint8Array
  lastResort: boolean
  expiresAt: string
  maxPerDid: number
}

/** Stores a package unless its owner has too many; publishing the same bytes again changes nothing. */
export async function storeKeyPackage(sql: Sql, entry: NewKeyPackage): Promise<'stored' | 'known' | 'full'> {
  const { did, hash } = entry
  const [row] = await sql<{ stored: boolean; known: boolean }[]>`
    with known as (
      select from key_packages where did = ${did} and hash = ${hash}
    ),
    owned as (
      select count(*) from key_packages where did = ${did} and consumed_by is null and expires_at > now()
    ),
    stored as (
      insert into key_packages (did, hash, ref, identity, cipher_suite, bytes, last_resort, expires_at)
      select ${did}, ${hash}, ${entry.ref ?? null}, ${entry.identity}, ${entry.cipherSuite},
        decode(${encodeBase64(entry.bytes)}, 'base64'), ${entry.lastResort},
        ${entry.expiresAt}::text::timestamptz
      from owned where owned.count < ${entry.maxPerDid} and not exists (select from known)
      on conflict do nothing
      returning 1
    )
    select exists (select from stored) as stored,
      exists (select from known) or (select count from owned) < ${entry.maxPerDid} as known`
  return row!.stored ? 'stored' : row!.known ? 'known' : 'full'
}

/** Packages that others can still be handed, without those of last resort. */
export async function countAvailable(sql: Sql, did: string, cipherSuite: string): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::integer as count from key_packages
    where did = ${did} and cipher_suite = ${cipherSuite} and consumed_by is null and not last_resort
      and expires_at > now()`
  return row!.count
}

export type Claim = { caller: string; dids: string[]; cipherSuite: string }

/**
 * Hands out one package per credential identity of each DID, reserved for the caller for ten minutes, in one atomic
 * statement: two callers never get the same one, one caller asking again gets the same. Where none is left, one of
 * last resort, which is not reserved.
 *
 * The row lock waits for a concurrent claim and then looks at the row again: what is another's by then is passed
 * over. DIDs are taken in order, so that two claims never wait for each other in a circle.
 */
export async function claimKeyPackages(
  sql: Sql,
  { caller, dids, cipherSuite }: Claim,
): Promise<KeyPackageRef[]> {
  const rows = await sql<{ did: string; hash: string; bytes: Buffer }[]>`
    with identity as (
      select distinct did, identity from key_packages
      where did = any(${dids}::text[]) and cipher_suite = ${cipherSuite} and consumed_by is null
        and expires_at > now()
      order by did, identity
    ),
    chosen as (
      select i.did, i.identity, k.hash, k.bytes from identity i
      cross join lateral (
        select hash, bytes from key_packages k
        where k.did = i.did and k.identity = i.identity and k.cipher_suite = ${cipherSuite}
          and not k.last_resort and k.consumed_by is null and k.expires_at > now()
          and (k.reserved_by is null or k.reserved_by = ${caller} or k.reserved_until <= now())
        order by (k.reserved_by = ${caller} and k.reserved_until > now()) is not true, k.created_at, k.hash
        limit 1
        for update
      ) k
    ),
    reserved as (
      update key_packages k set reserved_by = ${caller}, reserved_until = now() + interval '10 minutes'
      from chosen c where k.did = c.did and k.hash = c.hash
    ),
    last_resort as (
      select distinct on (i.did, i.identity) i.did, k.hash, k.bytes
      from identity i join key_packages k using (did, identity)
      where k.cipher_suite = ${cipherSuite} and k.last_resort and k.expires_at > now()
        and not exists (select from chosen c where c.did = i.did and c.identity = i.identity)
      order by i.did, i.identity, k.created_at desc
    )
    select did, hash, bytes from chosen
    union all
    select did, hash, bytes from last_resort
    order by did, hash`
  return rows.map(({ did, hash, bytes }) => ({
    did,
    keyPackage: encodeBase64(bytes),
    cipherSuite,
    keyPackageHash: hash,
  }))
}
