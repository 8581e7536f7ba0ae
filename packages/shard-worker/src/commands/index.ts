import type { Command, CommandType } from '@catbird/shared/commands'
import type { Accepted, Context, Refused } from '../conversation/decision.ts'
import type { FactKeys, Facts } from '../conversation/facts.ts'
import type { ConvoState } from '../conversation/state.ts'
import { addMembersFacts, decideAddMembers } from './add-members.ts'
import { createConvoFacts, decideCreateConvo } from './create-convo.ts'
import { decideLeaveConvo, leaveConvoFacts } from './leave-convo.ts'
import { decideSendMessage, sendMessageFacts } from './send-message.ts'

type Rule<T extends CommandType> = {
  facts(state: ConvoState | null, command: Extract<Command, { type: T }>): Partial<FactKeys>
  decide(
    state: ConvoState | null,
    command: Extract<Command, { type: T }>,
    facts: Facts,
    context: Context,
  ): Accepted | Refused
}

/** Every change to a conversation that there is. */
export const COMMANDS: { [T in CommandType]: Rule<T> } = {
  createConvo: { facts: createConvoFacts, decide: decideCreateConvo },
  addMembers: { facts: addMembersFacts, decide: decideAddMembers },
  leaveConvo: { facts: leaveConvoFacts, decide: decideLeaveConvo },
  sendMessage: { facts: sendMessageFacts, decide: decideSendMessage },
}
