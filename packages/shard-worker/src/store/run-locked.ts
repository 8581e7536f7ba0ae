import type { Clock } from '@catbird/shared/clock'
import type { Command } from '@catbird/shared/commands'
import type { Sql } from '@catbird/shared/sql'
import { executeLocked, type LockedContext } from './execute-locked.ts'
import { inspect } from './inspect.ts'
import { lockConversation } from './load-conversations.ts'
import { type LockedResult, type SentWrite, StoreError } from './store.ts'

/** Runs a function in a transaction; rejects with `StoreError`. */
export type Begin = <T>(run: (sql: Sql) => Promise<T>) => Promise<T>

/** How often a command is tried whose guards are lost or whose connection breaks. */
const TRIES = 5
const PAUSE_MS = 50

/**
 * Runs one command under the row's lock until it is decided. When a connection is lost after the write was sent, the
 * next try first looks, under the lock, whether that write took effect (G7).
 */
export async function runLocked(
  begin: Begin,
  command: Command,
  entryId: string,
  context: LockedContext & { clock: Clock },
): Promise<LockedResult> {
  let sent: SentWrite | undefined
  let lost: StoreError | undefined
  for (let tries = 0; tries < TRIES && context.clock.now() < command.deadlineMs; tries++) {
    if (tries > 0) await context.clock.sleep(PAUSE_MS * tries)
    try {
      const result = await begin(async (sql) => {
        const before = sent && (await findWrite(sql, command.convoId, entryId, sent))
        return (
          before ??
          executeLocked(sql, command, entryId, context, (write) => {
            sent = write
          })
        )
      })
      if (result) return result
      lost = undefined
    } catch (error) {
      if (!(error instanceof StoreError) || error.failure === 'data') throw error
      // A refused connection says nothing about the write before it.
      if (sent || error.failure === 'rolledBack')
        lost = new StoreError(sent ? 'unknown' : 'rolledBack', error)
      else throw error
    }
  }
  throw lost ?? new StoreError('rolledBack', 'guards were lost again and again')
}

async function findWrite(
  sql: Sql,
  convoId: string,
  entryId: string,
  { n, result }: SentWrite,
): Promise<LockedResult | undefined> {
  await lockConversation(sql, convoId)
  const [seen] = await inspect(sql, [{ convoId, n }])
  return seen!.entryId === entryId ? result : undefined
}
