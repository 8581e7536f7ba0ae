import type { Change } from '../conversation/decision.ts'
import { refusedByStore } from '../store/failures.ts'
import { type Store, StoreError } from '../store/store.ts'
import type { Pending } from './pending.ts'

/**
 * Runs a command under the row's lock and answers it, whatever becomes of it.
 *
 * @param onChange is told what it changed, before the answer
 */
export async function settleUnderLock(
  store: Store,
  pending: Pending,
  onChange: (change: Change) => void,
): Promise<void> {
  try {
    const { reply, change } = await store.executeLocked(pending.command, pending.entryId)
    if (change) onChange(change)
    pending.settle(reply)
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    pending.settle(refusedByStore(error.failure))
  }
}
