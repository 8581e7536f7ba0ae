import type { Sql } from '@catbird/shared/sql'

/** Rows per statement, so that none holds locks for long. */
const CHUNK = 1000

/** Deletes chunk after chunk until one was not full, and gives the number of rows. */
async function inChunks(deleteChunk: () => Promise<{ count: number }>): Promise<number> {
  let deleted = 0
  for (;;) {
    const { count } = await deleteChunk()
    deleted += count
    if (count < CHUNK) return deleted
  }
}

export function deleteKeyPackages(sql: Sql, did: string): Promise<number> {
  return inChunks(
    () => sql`
      delete from key_packages where (did, hash) in (
        select did, hash from key_packages where did = ${did} limit ${CHUNK})`,
  )
}

export function deleteRecords(sql: Sql, did: string): Promise<number> {
  return inChunks(
    () => sql`
      delete from idempotency where (caller, method, key) in (
        select caller, method, key from idempotency where caller = ${did} limit ${CHUNK})`,
  )
}

export function deleteReadPositions(sql: Sql, did: string): Promise<number> {
  return inChunks(
    () => sql`
      delete from cursors where (did, convo_id) in (
        select did, convo_id from cursors where did = ${did} limit ${CHUNK})`,
  )
}

/**
 * Deletes a DID's Welcomes of one conversation that are confirmed or withdrawn; an open one is a new invitation.
 * In the same statement their log rows, which are no entries and not in the chain, stop naming the DID, and bytes
 * go that no open Welcome needs.
 */
export function deleteWelcomes(sql: Sql, convoId: string, did: string): Promise<number> {
  return inChunks(async () => {
    const [row] = await sql<[{ count: number }]>`
      with chunk as (
        select convo_id, did, n, key_package_hash from welcomes
        where convo_id = ${convoId} and did = ${did}
          and (consumed_at is not null or withdrawn_n is not null)
        limit ${CHUNK}
      ),
      gone as (
        delete from welcomes w using chunk c
        where w.convo_id = c.convo_id and w.did = c.did and w.n = c.n
          and w.key_package_hash = c.key_package_hash
        returning w.n, w.entry_id
      ),
      uninvited as (
        update log l set added = array_remove(l.added, ${did})
        where l.convo_id = ${convoId} and l.kind = 'welcome' and l.n in (select n from gone)
      ),
      unneeded as (
        delete from welcome_bytes b
        where b.entry_id in (select entry_id from gone)
          and not exists (
            select from welcomes o
            where o.entry_id = b.entry_id and o.consumed_at is null and o.withdrawn_n is null)
      )
      select count(*)::integer as count from gone`
    return row
  })
}

/** Frees others' key packages that the DID has claimed, those too whose claim has lapsed. */
export async function releaseClaims(sql: Sql, did: string): Promise<number> {
  let released = 0
  let after = { did: '', hash: '' }
  for (;;) {
    const [page] = await sql<[{ count: number; did: string | null; hash: string | null }]>`
      with page as (
        select did, hash, reserved_by from key_packages
        where (did, hash) > (${after.did}, ${after.hash})
        order by did, hash
        limit ${CHUNK}
      ),
      released as (
        update key_packages k set reserved_by = null, reserved_until = null
        from page p
        where p.reserved_by = ${did} and k.did = p.did and k.hash = p.hash and k.reserved_by = ${did}
        returning 1
      ),
      last as (select did, hash from page order by did desc, hash desc limit 1)
      select (select count(*)::integer from released) as count, last.did, last.hash
      from (select) nothing left join last on true`
    released += page.count
    if (page.did === null || page.hash === null) return released
    after = { did: page.did, hash: page.hash }
  }
}
