import { timestamp } from '@catbird/shared/clock'
import type { Answer, SendMessageCommand } from '@catbird/shared/commands'
import { type Accepted, type Context, Draft, type Refused, refuse } from '../conversation/decision.ts'
import { refuseMessageEpoch } from '../conversation/epoch.ts'
import type { FactKeys, Facts } from '../conversation/facts.ts'
import { refuseNonMember } from '../conversation/membership.ts'
import type { ConvoState } from '../conversation/state.ts'

export function sendMessageFacts(state: ConvoState | null, command: SendMessageCommand): Partial<FactKeys> {
  return {
    messageId: command.message?.id,
    ...(state && !state.members.has(command.caller) && { formerMembers: [command.caller] }),
  }
}

/** A message that this sender stored under the same id before. */
export function repeatedMessage(command: SendMessageCommand, facts: Facts): Answer | undefined {
  const { message } = command
  if (!message || !facts.message) return undefined
  const isSame = facts.message.sender === command.caller && facts.message.contentHash === message.contentHash
  return isSame ? facts.message.answer : undefined
}

export function decideSendMessage(
  state: ConvoState | null,
  command: SendMessageCommand,
  facts: Facts,
  context: Context,
): Accepted | Refused {
  const nonMember = refuseNonMember(state, facts, command.caller)
  if (nonMember) return { refusal: nonMember }
  if (facts.message) {
    return refuse('IdempotencyConflict', 'msgId stands for another message')
  }
  const stale = refuseMessageEpoch(state!, command.epoch, context.policy.messageEpochWindow)
  if (stale) return { refusal: stale }
  const draft = new Draft(command.convoId, state, context.nowMs)
  const messageId = command.message?.id ?? context.entryId
  const { seq, logHash } = draft.add({
    kind: 'app',
    sender: command.caller,
    bytes: command.bytes,
    sha256: command.sha256,
    epoch: command.epoch,
    messageId,
    contentHash: command.message?.contentHash,
    embedType: command.embedType,
    embedUri: command.embedUri,
    expiresAtMs: draft.atMs + context.policy.messageTtlMs,
  })
  const answer = { messageId, receivedAt: timestamp(draft.atMs), seq, epoch: command.epoch, logHash }
  return { draft, answer }
}
