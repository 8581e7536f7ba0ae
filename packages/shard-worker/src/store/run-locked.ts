import type { Clock } from '@catbird/shared/clock'
import type { Command } from '@catbird/shared/commands'
import type { Policy } from '../conversation/decision.ts'
import { executeLocked, type LockedTransaction } from './execute-locked.ts'
import { type LockedResult, type SentWrite, StoreError } from './store.ts'

/** Runs a function in a transaction; rejects with `StoreError`. */
export type Begin = <T>(run: (transaction: LockedTransaction) => Promise<T>) => Promise<T>

export type LockedContext = { clock: Clock; policy: Policy }

/** How often a command is tried whose guards are lost or whose connection breaks. */
const TRIES = 5
const PAUSE_MS = 50

/**
 * Runs one command under the row's lock until it is decided. When a connection is lost after the write was sent, the
 * next try first looks, under the lock, whether that write took effect (G7). From then on "not written" is no proof:
 * the lost connection's backend may be what holds the guard, and commit later.
 */
export async function runLocked(
  begin: Begin,
  command: Command,
  entryId: string,
  { clock, policy }: LockedContext,
): Promise<LockedResult> {
  let sent: SentWrite | undefined
  let doubt: StoreError | undefined
  let lost: StoreError | undefined
  // One time for all tries: whichever of two equal writes wins, its rows say what the caller is told.
  const context = { nowMs: clock.now(), entryId, policy }
  for (let tries = 0; tries < TRIES && clock.now() < command.deadlineMs; tries++) {
    if (tries > 0) await clock.sleep(PAUSE_MS * tries)
    try {
      const result = await begin((transaction) => {
        return tryOnce(transaction, command, { ...context, hasLostGuard: tries > 0 }, sent, (write) => {
          sent = write
        })
      })
      if (result) return result
      lost = doubt
    } catch (error) {
      if (!(error instanceof StoreError) || error.failure === 'data') throw error
      if (sent && error.failure === 'unknown') doubt = error
      // A refused connection says nothing about the write before it; a lost one without a write changed nothing.
      lost = doubt ?? (error.failure === 'unknown' ? new StoreError('unavailable', error) : error)
      if (!doubt && error.failure === 'unavailable') throw error
    }
  }
  throw lost ?? new StoreError('rolledBack', 'guards were lost again and again')
}

async function tryOnce(
  transaction: LockedTransaction,
  command: Command,
  context: Parameters<typeof executeLocked>[2] & { hasLostGuard: boolean },
  sent: SentWrite | undefined,
  onWrite: (write: SentWrite) => void,
): Promise<LockedResult | undefined> {
  const before = sent && (await findWrite(transaction, command.convoId, context.entryId, sent))
  if (before) return before
  const result = await executeLocked(transaction, command, context, context.hasLostGuard, onWrite)
  if (!sent || !result || result.reply.ok) return result
  // A row that is not there yet cannot be locked: what the refusal rests on may be our own write.
  return (await findWrite(transaction, command.convoId, context.entryId, sent)) ?? result
}

async function findWrite(
  transaction: LockedTransaction,
  convoId: string,
  entryId: string,
  { n, result }: SentWrite,
): Promise<LockedResult | undefined> {
  await transaction.lock(convoId)
  const [seen] = await transaction.inspect([{ convoId, n }])
  return seen!.entryId === entryId ? result : undefined
}
