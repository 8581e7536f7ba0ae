import type { Sql } from '@catbird/shared/sql'

/** Blocks a DID; false when it was blocked already. */
export async function blockDid(sql: Sql, did: string): Promise<boolean> {
  const { count } = await sql`insert into blocked_dids (did) values (${did}) on conflict do nothing`
  return count > 0
}

/** Unblocks a DID; false when it was not blocked. */
export async function unblockDid(sql: Sql, did: string): Promise<boolean> {
  const { count } = await sql`delete from blocked_dids where did = ${did}`
  return count > 0
}
