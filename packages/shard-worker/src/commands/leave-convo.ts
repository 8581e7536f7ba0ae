import type { LeaveConvoCommand } from '@catbird/shared/commands'
import { type Accepted, type Context, Draft, type Refused, refuse } from '../conversation/decision.ts'
import { refuseCommit } from '../conversation/epoch.ts'
import type { FactKeys, Facts } from '../conversation/facts.ts'
import { refuseNonMember, wasMember } from '../conversation/membership.ts'
import type { ConvoState } from '../conversation/state.ts'
import { addCommit, commitAnswer } from './commit-entry.ts'

export function leaveConvoFacts(state: ConvoState | null, command: LeaveConvoCommand): Partial<FactKeys> {
  if (!state) return {}
  const absent = [...new Set([command.caller, command.target])].filter((did) => !state.members.has(did))
  return {
    ...(absent.length > 0 && { formerMembers: absent }),
  }
}

export function decideLeaveConvo(
  state: ConvoState | null,
  command: LeaveConvoCommand,
  facts: Facts,
  context: Context,
): Accepted | Refused {
  const nonMember = refuseNonMember(state, facts, command.caller)
  if (nonMember) return { refusal: nonMember }
  const isSelf = command.target === command.caller
  return isSelf ? leave(state!, command, context) : remove(state!, command, facts, context)
}

/** Leaving takes effect at once and moves no epoch: nobody can commit its own removal (RFC 9420, 12.1.3). */
function leave(state: ConvoState, command: LeaveConvoCommand, context: Context): Accepted | Refused {
  if (command.commit) {
    return refuse('InvalidCommit', 'a member cannot commit its own removal')
  }
  if (state.members.count === 1) {
    return refuse('LastMember', 'the last member cannot leave')
  }
  const draft = new Draft(command.convoId, state, context.nowMs)
  draft.add({ kind: 'left', sender: command.caller, removed: [command.caller] })
  return { draft, answer: { success: true, newEpoch: state.epoch } }
}

/** Removes another member, or commits the removal of one who has left. */
function remove(
  state: ConvoState,
  command: LeaveConvoCommand,
  facts: Facts,
  context: Context,
): Accepted | Refused {
  const isPresent = state.members.has(command.target)
  const problem = refuseRemoval(state, command, isPresent, facts)
  if (problem) return problem
  const draft = new Draft(command.convoId, state, context.nowMs)
  addCommit(draft, state, {
    sender: command.caller,
    commit: command.commit,
    added: [],
    removed: isPresent ? [command.target] : [],
    entryId: context.entryId,
  })
  return { draft, answer: commitAnswer(draft.state!) }
}

function refuseRemoval(
  state: ConvoState,
  { caller, target, commit }: LeaveConvoCommand,
  isPresent: boolean,
  facts: Facts,
): Refused | undefined {
  if (!isPresent && !(commit && wasMember(state, facts, target))) {
    return refuse('NotMember', 'the target is not a member')
  }
  if (isPresent && caller !== state.creator) {
    return refuse('Forbidden', 'only the creator removes a member that is present')
  }
  if (commit) return refuseCommit(state, commit)
  if (state.tracking === 'untracked') return undefined
  return refuse('CommitRequired', 'members are removed with a commit')
}
