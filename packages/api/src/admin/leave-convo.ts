import { refusedByStore, toStoreError } from '@catbird/shard-worker/store/failures'
import { type Store, StoreError } from '@catbird/shard-worker/store/store'
import type { Clock } from '@catbird/shared/clock'
import type { Reply } from '@catbird/shared/commands'
import { newEntryId } from '@catbird/shared/ids'
import type { Pool } from '@catbird/shared/sql'
import { deleteConvoRecords, deleteLonelyConvo } from './delete-convo.ts'
import { shrinkLog } from './log-rows.ts'

/** What leaving takes: the store that runs commands, and connections for what is no command. */
export type LeavingParts = { sql: Pool; store: Pick<Store, 'executeLocked'>; clock: Clock }

/** `away`: was no member any more. `failed`: may be tried again. */
export type Leaving = 'left' | 'deleted' | 'away' | 'failed'

const TRIES = 5
const PAUSE_MS = 100
const DEADLINE_MS = 10_000

/**
 * Takes a DID out of a conversation as if it had left by itself, under the row's lock and hence beside running
 * servers; where it is the last member, deletes the conversation.
 */
export async function leaveOrDelete(parts: LeavingParts, convoId: string, did: string): Promise<Leaving> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (tries > 0) await parts.clock.sleep(PAUSE_MS * tries)
    const reply = await leave(parts, convoId, did)
    if (reply.ok) return 'left'
    const { error } = reply.refusal
    if (error === 'NotMember' || error === 'ConvoNotFound') return 'away'
    if (error === 'LastMember' && (await deleteIfLast(parts, convoId, did))) return 'deleted'
  }
  return 'failed'
}

async function leave({ store, clock }: LeavingParts, convoId: string, did: string): Promise<Reply> {
  const command = {
    type: 'leaveConvo',
    convoId,
    caller: did,
    target: did,
    requestId: 'admin',
    deadlineMs: clock.now() + DEADLINE_MS,
    size: 0,
  } as const
  try {
    return (await store.executeLocked(command, newEntryId())).reply
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return refusedByStore(error.failure)
  }
}

/** False also when the row was locked for too long: somebody may have been added meanwhile. */
async function deleteIfLast({ sql }: LeavingParts, convoId: string, did: string): Promise<boolean> {
  try {
    await shrinkLog(sql, convoId, { onBegin: () => deleteConvoRecords(sql, convoId) })
    return await deleteLonelyConvo(sql, convoId, did)
  } catch (error) {
    if (toStoreError(error).failure === 'rolledBack') return false
    throw error
  }
}
