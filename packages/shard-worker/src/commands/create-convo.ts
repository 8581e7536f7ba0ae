import { timestamp } from '@catbird/shared/clock'
import type { CreateConvoCommand } from '@catbird/shared/commands'
import type { CreatedEvent } from '@catbird/shared/events'
import { type Accepted, type Context, Draft, type Refused, refuse } from '../conversation/decision.ts'
import type { FactKeys, Facts } from '../conversation/facts.ts'
import type { ConvoState } from '../conversation/state.ts'
import { checkInvitation } from './invitation.ts'

export function createConvoFacts(state: ConvoState | null, command: CreateConvoCommand): Partial<FactKeys> {
  const { keyPackages } = command
  return { isNew: state === null, ...(keyPackages.length > 0 && { keyPackages }) }
}

export function decideCreateConvo(
  state: ConvoState | null,
  command: CreateConvoCommand,
  facts: Facts,
  context: Context,
): Accepted | Refused {
  // An erased one's name is not given again: its last owner may still hold its state, whose version would fit.
  if (state || facts.wasErased) return refuse('GroupIdTaken', 'a conversation with this groupId exists')
  const others = [...new Set(command.initialMembers)].filter((did) => did !== command.caller)
  if (others.length + 1 > context.policy.maxMembers) {
    return refuse('TooManyMembers', 'too many members', { maxMembers: context.policy.maxMembers })
  }
  // A package is consumed, and a Welcome kept, only for who becomes a member.
  if (command.keyPackages.some(({ did }) => did !== command.caller && !others.includes(did))) {
    return refuse('InvalidRequest', 'keyPackageHashes names a DID that is not in initialMembers')
  }
  const invited = checkInvitation({ ...command, dids: others }, facts)
  if ('refusal' in invited) return invited
  const draft = new Draft(command.convoId, null, context.nowMs)
  draft.add(createdEvent(command, others.length > 0))
  if (others.length > 0) draft.add({ kind: 'joined', sender: command.caller, added: others })
  const { recipients, consumed } = invited.invitation
  if (command.welcome && recipients.length > 0) {
    draft.add({ kind: 'welcome', sender: command.caller, bytes: command.welcome.bytes, recipients })
  }
  return { draft, answer: convoView(command, draft), keyPackages: consumed }
}

function createdEvent(command: CreateConvoCommand, hasOthers: boolean): CreatedEvent {
  const { caller, cipherSuite, epoch, welcome, name, description } = command
  const tracking = epoch !== undefined ? 'tracked' : welcome ? 'provisional' : 'untracked'
  return {
    kind: 'created',
    sender: caller,
    cipherSuite,
    tracking,
    epoch: epoch ?? (welcome && hasOthers ? 1 : 0),
    name,
    description,
  }
}

function convoView(command: CreateConvoCommand, draft: Draft): Record<string, unknown> {
  const state = draft.state!
  const createdAt = timestamp(draft.atMs)
  const { name, description } = command
  const hasMetadata = name !== undefined || description !== undefined
  return {
    id: state.convoId,
    groupId: state.convoId,
    creator: state.creator,
    members: state.members.list.map((did) => ({
      did,
      joinedAt: createdAt,
      role: did === state.creator ? 'creator' : 'member',
    })),
    epoch: state.epoch,
    cipherSuite: state.cipherSuite,
    createdAt,
    ...(hasMetadata && {
      metadata: { ...(name !== undefined && { name }), ...(description !== undefined && { description }) },
    }),
    unreadCount: 0,
    lastSeq: 0,
  }
}
