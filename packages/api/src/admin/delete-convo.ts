import type { Pool, Sql } from '@catbird/shared/sql'
import { deleteLog } from './log-rows.ts'

/**
 * Deletes a conversation and all that hangs on it, if the given DID is its only member; false when it is not.
 *
 * One transaction under the head's row lock, so the version that was read is the one that is deleted. Writers never
 * wait for the row: a running actor that builds on it loses its guard, reads again and finds no conversation.
 */
export function deleteLonelyConvo(sql: Pool, convoId: string, did: string): Promise<boolean> {
  return sql.begin(async (transaction) => {
    const version = await lockHead(transaction, convoId)
    if (version === undefined || !(await isAlone(transaction, convoId, did))) return false
    await deleteConvoRecords(transaction, convoId)
    await deleteConsumedPackages(transaction, convoId)
    await deleteLog(transaction, convoId)
    const { count } = await transaction`
      delete from conversations where convo_id = ${convoId} and version = ${version}`
    await transaction`insert into erased_convos (convo_id) values (${convoId})`
    if (count !== 1) throw new Error(`conversation ${convoId} moved under its row lock`)
    return true
  })
}

/** Gives the version. A statement of its own: the later ones see what the row's former holder wrote. */
async function lockHead(sql: Sql, convoId: string): Promise<number | undefined> {
  const [head] = await sql<{ version: number }[]>`
    select version::float8 as version from conversations where convo_id = ${convoId} for update`
  return head?.version
}

async function isAlone(sql: Sql, convoId: string, did: string): Promise<boolean> {
  const members = await sql<{ did: string }[]>`
    select did from members where convo_id = ${convoId} and left_n is null limit 2`
  return members.length === 1 && members[0]!.did === did
}

/**
 * Answers that are kept for repeats, former members' too: a repeat must not hear of what is gone. While the log is
 * whole, since it tells which they are.
 */
export async function deleteConvoRecords(sql: Sql, convoId: string): Promise<void> {
  await sql`
    delete from idempotency i
    using (select distinct did from members where convo_id = ${convoId}) m
    where i.caller = m.did and (
      i.method = 'createConvo' and i.answer->>'id' = ${convoId}
      or exists (
        select from log l
        where l.convo_id = ${convoId}
          and l.seq = case when i.answer->>'seq' ~ '^[0-9]{1,15}$' then (i.answer->>'seq')::bigint end
          and l.seq is not null and encode(l.log_hash, 'hex') = i.answer->>'logHash'))`
}

/** Used-up packages are kept so that their conversation can name them again. */
async function deleteConsumedPackages(sql: Sql, convoId: string): Promise<void> {
  await sql`
    delete from key_packages k
    using (select distinct did from members where convo_id = ${convoId}) m
    where k.did = m.did and k.consumed_by = ${convoId}`
}
