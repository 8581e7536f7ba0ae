import type { Command } from '@catbird/shared/commands'
import { decide, factKeys } from '../conversation/decide.ts'
import type { Context } from '../conversation/decision.ts'
import { withWinner } from '../conversation/epoch.ts'
import { NO_FACTS } from '../conversation/facts.ts'
import type { LockedResult, SentWrite, Store } from './store.ts'

/** One transaction of one command: statements that each see what was committed before they began. */
export type LockedTransaction = Omit<Store, 'executeLocked'> & {
  /** Takes the conversation's row, waiting for whoever holds it; nothing when there is none. */
  lock(convoId: string): Promise<void>
}

/**
 * Decides and writes one command in the given transaction while it holds the conversation's row, so that neither
 * acceptance nor refusal can be overtaken. Undefined when a guard outside the row was lost (a key package, an
 * idempotency key or a token used, a groupId taken meanwhile): try again.
 *
 * @param hasLostGuard an earlier try was undefined
 * @param onWrite is told of the write before it is sent
 */
export async function executeLocked(
  transaction: LockedTransaction,
  command: Command,
  context: Context,
  hasLostGuard: boolean,
  onWrite: (write: SentWrite) => void,
): Promise<LockedResult | undefined> {
  const { convoId } = command
  await transaction.lock(convoId)
  const state = (await transaction.load([convoId])).get(convoId) ?? null
  const keys = factKeys(state, command, hasLostGuard)
  const facts = keys ? (await transaction.facts([keys]))[0]! : NO_FACTS
  const decision = decide(state, command, facts, context)
  switch (decision.outcome) {
    case 'repeated':
      return { reply: { ok: true, answer: decision.answer } }
    case 'refused': {
      const { refusal, winnerOf } = decision
      const winner =
        winnerOf === undefined ? undefined : (await transaction.inspect([{ convoId, winnerOf }]))[0]!.winner
      return { reply: { ok: false, refusal: winner ? withWinner(refusal, winner) : refusal } }
    }
    case 'accepted': {
      const expectedVersion = state?.version ?? 0
      const unit = { convoId, expectedVersion, changes: [decision.change], final: decision.state }
      const result: LockedResult = { reply: { ok: true, answer: decision.answer }, change: decision.change }
      onWrite({ n: expectedVersion + 1, result })
      const written = await transaction.write([unit])
      return written.has(convoId) ? result : undefined
    }
  }
}
