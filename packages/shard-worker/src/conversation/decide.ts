import type { Command } from '@catbird/shared/commands'
import { refusal } from '@catbird/shared/errors'
import { COMMANDS } from '../commands/index.ts'
import { repeatedMessage } from '../commands/send-message.ts'
import type { Context, Decision, IdempotencyRecord } from './decision.ts'
import type { FactKeys, Facts } from './facts.ts'
import type { ConvoState } from './state.ts'

/** How long an accepted command's answer is kept for repeats. */
const RECORD_TTL_MS = 24 * 60 * 60 * 1000

/**
 * The facts that deciding `command` needs; undefined when it needs none. Whether its token has been used is left to
 * the guard of the write, unless facts are read anyway or a guard was lost before.
 */
export function factKeys(
  state: ConvoState | null,
  command: Command,
  hasLostGuard: boolean,
): FactKeys | undefined {
  const rule = COMMANDS[command.type] as { facts(s: ConvoState | null, c: Command): Partial<FactKeys> }
  const { idempotency, tokenUse, caller, type, convoId } = command
  const keys: FactKeys = { ...rule.facts(state, command), convoId }
  if (idempotency) keys.record = { caller, method: type, key: idempotency.key }
  const needsFacts = keys.record || keys.messageId || keys.keyPackages || keys.formerMembers || keys.isNew
  if (tokenUse && (needsFacts || hasLostGuard)) keys.tokenHash = tokenUse.hash
  return needsFacts || keys.tokenHash ? keys : undefined
}

/**
 * Decides one command. Pure: the same state, command, facts and context give the same decision. Repeats are
 * recognised first, so that they are answered also after membership or epoch have moved on.
 */
export function decide(state: ConvoState | null, command: Command, facts: Facts, context: Context): Decision {
  const repeat = recognise(command, facts)
  if (repeat) return repeat
  const rule = COMMANDS[command.type] as (typeof COMMANDS)['sendMessage']
  const result = rule.decide(state, command as Extract<Command, { type: 'sendMessage' }>, facts, context)
  if ('refusal' in result) return { outcome: 'refused', ...result }
  const { draft, answer, keyPackages = [] } = result
  return {
    outcome: 'accepted',
    state: draft.state!,
    answer,
    change: {
      entryId: context.entryId,
      rows: draft.rows,
      keyPackages,
      tokenUse: command.tokenUse,
      record: recordOf(command, answer, context.nowMs),
    },
  }
}

function recognise(command: Command, facts: Facts): Decision | undefined {
  if (facts.isTokenUsed) {
    return { outcome: 'refused', refusal: refusal('ReplayedToken', 'the token has been used') }
  }
  if (facts.record && command.idempotency) {
    if (facts.record.contentHash === command.idempotency.contentHash) {
      return { outcome: 'repeated', answer: facts.record.answer }
    }
    return {
      outcome: 'refused',
      refusal: refusal('IdempotencyConflict', 'idempotencyKey was used with other content'),
    }
  }
  const repeated = command.type === 'sendMessage' ? repeatedMessage(command, facts) : undefined
  return repeated && { outcome: 'repeated', answer: repeated }
}

function recordOf(
  command: Command,
  answer: IdempotencyRecord['answer'],
  nowMs: number,
): IdempotencyRecord | undefined {
  const { idempotency, caller, type } = command
  if (!idempotency) return undefined
  return {
    caller,
    method: type,
    key: idempotency.key,
    contentHash: idempotency.contentHash,
    answer,
    expiresAtMs: nowMs + RECORD_TTL_MS,
  }
}
