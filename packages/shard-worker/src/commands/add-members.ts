import type { AddMembersCommand } from '@catbird/shared/commands'
import { type Accepted, type Context, Draft, type Refused, refuse } from '../conversation/decision.ts'
import { refuseCommit } from '../conversation/epoch.ts'
import type { FactKeys, Facts } from '../conversation/facts.ts'
import { refuseNonMember } from '../conversation/membership.ts'
import type { ConvoState } from '../conversation/state.ts'
import { addCommit, commitAnswer } from './commit-entry.ts'
import { checkInvitation } from './invitation.ts'

export function addMembersFacts(state: ConvoState | null, command: AddMembersCommand): Partial<FactKeys> {
  return {
    ...(command.keyPackages.length > 0 && { keyPackages: command.keyPackages }),
    ...(state && !state.members.has(command.caller) && { formerMembers: [command.caller] }),
  }
}

export function decideAddMembers(
  state: ConvoState | null,
  command: AddMembersCommand,
  facts: Facts,
  context: Context,
): Accepted | Refused {
  const nonMember = refuseNonMember(state, facts, command.caller)
  if (nonMember) return { refusal: nonMember }
  const current = state!
  const dids = [...new Set(command.dids)]
  const newcomers = dids.filter((did) => !current.members.has(did))
  const problem = refuseAddition(current, command, newcomers, context)
  if (problem) return problem
  const invited = checkInvitation({ ...command, dids }, facts)
  if ('refusal' in invited) return invited

  const draft = new Draft(command.convoId, current, context.nowMs)
  addCommit(draft, current, {
    sender: command.caller,
    commit: command.commit,
    added: newcomers,
    removed: [],
    entryId: context.entryId,
  })
  const answer = commitAnswer(draft.state!)
  const { recipients, consumed } = invited.invitation
  if (command.welcome && recipients.length > 0) {
    draft.add({ kind: 'welcome', sender: command.caller, bytes: command.welcome.bytes, recipients })
  }
  return { draft, answer, keyPackages: consumed }
}

function refuseAddition(
  state: ConvoState,
  command: AddMembersCommand,
  newcomers: string[],
  { policy }: Context,
): Refused | undefined {
  const { commit, dids, caller } = command
  if (!commit) {
    if (dids.length === 0) return refuse('InvalidRequest', 'didList may be empty only with a commit')
    if (newcomers.length === 0) return refuse('AlreadyMember', 'every DID is a member already')
    if (state.tracking !== 'untracked') return refuse('CommitRequired', 'members are added with a commit')
  } else {
    const stale = refuseCommit(state, commit)
    if (stale) return stale
  }
  if (state.members.count + newcomers.length > policy.maxMembers) {
    return refuse('TooManyMembers', 'too many members', { maxMembers: policy.maxMembers })
  }
  const stranger = command.keyPackages.find(
    ({ did }) => !dids.includes(did) && did !== caller && !state.members.has(did),
  )
  return stranger && refuse('InvalidRequest', 'keyPackageHashes names a DID that is not in didList')
}
