import type { Sql } from '@catbird/shared/sql'
import type { Logger } from 'pino'

/** Rows per statement, so that none holds locks for long. */
const CHUNK = 2000
/** Statements per run, so that a run ends. */
const MAX_CHUNKS = 200

/**
 * Deletes what has had its time, in chunks; several processes may do so at once. Each kind on its own: one that fails
 * is logged and keeps the others from nothing. When it is to end, it does so with its next chunk. Returns the rows deleted.
 */
export async function cleanUp(
  sql: Sql,
  log?: Pick<Logger, 'warn'>,
  signal?: AbortSignal,
): Promise<Record<string, number>> {
  const deleted: Record<string, number> = {}
  for (const [kind, deleteChunk] of Object.entries(KINDS)) {
    try {
      deleted[kind] = await inChunks(() => deleteChunk(sql), signal)
    } catch (error) {
      if (!log) throw error
      log.warn({ err: error, kind }, 'Clean-up failed')
    }
  }
  return deleted
}

const KINDS: Record<string, (sql: Sql) => Promise<number>> = {
  messages: deleteMessages,
  idempotency: deleteRecords,
  keyPackages: deleteKeyPackages,
  welcomes: deleteWelcomeBytes,
  usedTokens: deleteUsedTokens,
  tickets: deleteTickets,
}

async function inChunks(deleteChunk: () => Promise<number>, signal?: AbortSignal): Promise<number> {
  let deleted = 0
  for (let chunk = 0; chunk < MAX_CHUNKS && !signal?.aborted; chunk++) {
    const count = await deleteChunk()
    deleted += count
    if (count < CHUNK) break
  }
  return deleted
}

/** Expired application messages; commits are kept for who must catch up. */
async function deleteMessages(sql: Sql): Promise<number> {
  const { count } = await sql`
    delete from log where (convo_id, n) in (
      select convo_id, n from log where expires_at <= now() limit ${CHUNK} for update skip locked)`
  return count
}

async function deleteRecords(sql: Sql): Promise<number> {
  const { count } = await sql`
    delete from idempotency where (caller, method, key) in (
      select caller, method, key from idempotency where expires_at <= now()
      limit ${CHUNK} for update skip locked)`
  return count
}

/** Bytes that nobody will fetch again: every Welcome of theirs was confirmed or withdrawn. */
async function deleteWelcomeBytes(sql: Sql): Promise<number> {
  const { count } = await sql`
    delete from welcome_bytes where entry_id in (
      select entry_id from welcome_bytes b
      where not exists (
        select from welcomes w
        where w.entry_id = b.entry_id and w.consumed_at is null and w.withdrawn_n is null)
      limit ${CHUNK} for update skip locked)`
  return count
}

/**
 * Expired packages. Consumed ones stay longer than any package may be on offer, so that their conversation can name
 * them again and the same bytes are not taken for a new package.
 */
async function deleteKeyPackages(sql: Sql): Promise<number> {
  const { count } = await sql`
    delete from key_packages where (did, hash) in (
      select did, hash from key_packages
      where expires_at <= now() and (consumed_by is null or created_at < now() - interval '91 days')
      limit ${CHUNK} for update skip locked)`
  return count
}

/**
 * Tokens that are refused anyway, because they have expired; and long enough ago that no request which was let in
 * before, and no clock that is late, can still come with one.
 */
async function deleteUsedTokens(sql: Sql): Promise<number> {
  const { count } = await sql`
    delete from used_tokens where hash in (
      select hash from used_tokens where expires_at <= now() - interval '15 minutes'
      limit ${CHUNK} for update skip locked)`
  return count
}

/** Tickets that nobody has redeemed in time. */
async function deleteTickets(sql: Sql): Promise<number> {
  const { count } = await sql`
    delete from tickets where hash in (
      select hash from tickets where expires_at <= now() limit ${CHUNK} for update skip locked)`
  return count
}
