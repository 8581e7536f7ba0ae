import type { Clock } from '@catbird/shared/clock'
import type { Command } from '@catbird/shared/commands'
import type { Sql } from '@catbird/shared/sql'
import { decide, factKeys } from '../conversation/decide.ts'
import type { Policy } from '../conversation/decision.ts'
import { withWinner } from '../conversation/epoch.ts'
import { NO_FACTS } from '../conversation/facts.ts'
import { inspect } from './inspect.ts'
import { loadConversations, lockConversation } from './load-conversations.ts'
import { loadFacts } from './load-facts.ts'
import type { LockedResult, SentWrite } from './store.ts'
import { writeUnits } from './write-units.ts'

export type LockedContext = { clock: Clock; policy: Policy; incarnation: number }

/**
 * Decides and writes one command in the given transaction while it holds the conversation's row, so that neither
 * acceptance nor refusal can be overtaken. Undefined when a guard outside the row was lost (a key package, an
 * idempotency key, a groupId taken meanwhile): try again.
 *
 * @param onWrite is told of the write before it is sent
 */
export async function executeLocked(
  sql: Sql,
  command: Command,
  entryId: string,
  { clock, policy, incarnation }: LockedContext,
  onWrite: (write: SentWrite) => void,
): Promise<LockedResult | undefined> {
  const { convoId } = command
  await lockConversation(sql, convoId)
  const state = (await loadConversations(sql, [convoId])).get(convoId) ?? null
  const keys = factKeys(state, command)
  const facts = keys ? (await loadFacts(sql, [keys]))[0]! : NO_FACTS
  const decision = decide(state, command, facts, { nowMs: clock.now(), entryId, policy })
  switch (decision.outcome) {
    case 'repeated':
      return { reply: { ok: true, answer: decision.answer } }
    case 'refused': {
      const { refusal, winnerOf } = decision
      const winner =
        winnerOf === undefined ? undefined : (await inspect(sql, [{ convoId, winnerOf }]))[0]!.winner
      return { reply: { ok: false, refusal: winner ? withWinner(refusal, winner) : refusal } }
    }
    case 'accepted': {
      const expectedVersion = state?.version ?? 0
      const unit = { convoId, expectedVersion, changes: [decision.change], final: decision.state }
      const result: LockedResult = { reply: { ok: true, answer: decision.answer }, change: decision.change }
      onWrite({ n: expectedVersion + 1, result })
      const written = await writeUnits(sql, incarnation, [unit])
      return written.has(convoId) ? result : undefined
    }
  }
}
