import type {
  AddMembersCommand,
  Command,
  CommitInput,
  CreateConvoCommand,
  KeyPackageName,
  LeaveConvoCommand,
  SendMessageCommand,
} from '@catbird/shared/commands'
import type { ErrorName } from '@catbird/shared/errors'

/** The rules of the wire contract, sections 1 to 3, written down a second time: nothing here is the engine's. */

export type ModelOptions = { maxMembers: number; messageEpochWindow: number }

/** A conversation after some of its log rows. */
export type ModelState = {
  version: number
  seq: number
  epoch: number
  /** Whether commits may be left out (`open`), the first one sets the base (`unset`), or all must fit (`fixed`). */
  epochRule: 'open' | 'unset' | 'fixed'
  /** In order of standing. */
  members: string[]
  former: string[]
  creator: string
}

/** What lies outside the conversation, as it may have been when the command was decided. */
export type Surroundings = {
  /** The idempotency key is recorded: for the same content or for another. */
  record?: 'same' | 'other'
  /** The message id is taken: by the same message or by another. */
  message?: 'same' | 'other'
  /** A named key package is missing or used up. */
  lacksKeyPackage: boolean
  /** The Welcome is for a package that is not named. */
  hasStrangeWelcome: boolean
}

/** What acceptance does; `errors` holds every refusal that is true at this point. */
export type Verdict =
  | { is: 'accepted'; next: ModelState; added: string[]; removed: string[]; entry?: 'app' | 'commit' }
  | { is: 'repeated' }
  | { is: 'refused'; errors: ErrorName[] }

const MAX_FIRST_EPOCH = 2 ** 31

export function judge(
  state: ModelState | undefined,
  command: Command,
  around: Surroundings,
  options: ModelOptions,
): Verdict {
  if (around.record === 'same') return { is: 'repeated' }
  if (around.record === 'other') return { is: 'refused', errors: ['IdempotencyConflict'] }
  if (around.message === 'same') return { is: 'repeated' }
  if (command.type === 'createConvo') return judgeCreation(state, command, around, options)
  if (!state) return { is: 'refused', errors: ['ConvoNotFound'] }
  if (!state.members.includes(command.caller)) {
    const isFormer = state.former.includes(command.caller)
    return { is: 'refused', errors: [isFormer ? 'NotMember' : 'ConvoNotFound'] }
  }
  switch (command.type) {
    case 'addMembers':
      return judgeAddition(state, command, around, options)
    case 'leaveConvo':
      return command.target === command.caller ? judgeLeaving(state, command) : judgeRemoval(state, command)
    case 'sendMessage':
      return judgeMessage(state, command, around, options)
  }
}

function judgeCreation(
  state: ModelState | undefined,
  command: CreateConvoCommand,
  around: Surroundings,
  { maxMembers }: ModelOptions,
): Verdict {
  if (state) return { is: 'refused', errors: ['GroupIdTaken'] }
  const { caller, epoch, welcome } = command
  const members = unique([caller, ...command.initialMembers])
  const errors = invitationErrors(around)
  if (members.length > maxMembers) errors.push('TooManyMembers')
  if (command.keyPackages.some(({ did }) => !members.includes(did))) errors.push('InvalidRequest')
  if (errors.length > 0) return { is: 'refused', errors }
  const implied = welcome && members.length > 1 ? 1 : 0
  const next: ModelState = {
    version: 0,
    seq: 0,
    epoch: epoch ?? implied,
    epochRule: epoch !== undefined ? 'fixed' : welcome ? 'unset' : 'open',
    members,
    former: [],
    creator: caller,
  }
  return { is: 'accepted', next, added: members.slice(1), removed: [] }
}

function judgeAddition(
  state: ModelState,
  command: AddMembersCommand,
  around: Surroundings,
  { maxMembers }: ModelOptions,
): Verdict {
  const { commit, dids, keyPackages, caller } = command
  const added = unique(dids).filter((did) => !state.members.includes(did))
  const errors = [...commitErrors(state, commit), ...invitationErrors(around)]
  if (!commit && dids.length === 0) errors.push('InvalidRequest')
  if (!commit && dids.length > 0 && added.length === 0) errors.push('AlreadyMember')
  if (state.members.length + added.length > maxMembers) errors.push('TooManyMembers')
  const mayName = [...dids, ...state.members, caller]
  if (keyPackages.some(({ did }) => !mayName.includes(did))) errors.push('InvalidRequest')
  return errors.length > 0 ? { is: 'refused', errors } : withCommit(state, commit, added, [])
}

function judgeLeaving(state: ModelState, { caller, commit }: LeaveConvoCommand): Verdict {
  const errors: ErrorName[] = []
  if (commit) errors.push('InvalidCommit')
  if (state.members.length === 1) errors.push('LastMember')
  if (errors.length > 0) return { is: 'refused', errors }
  return { is: 'accepted', next: without(state, [caller]), added: [], removed: [caller] }
}

function judgeRemoval(state: ModelState, { caller, target, commit }: LeaveConvoCommand): Verdict {
  const isPresent = state.members.includes(target)
  const errors = commitErrors(state, commit)
  if (!isPresent && (!state.former.includes(target) || !commit)) errors.push('NotMember')
  if (isPresent && caller !== state.creator) errors.push('Forbidden')
  return errors.length > 0
    ? { is: 'refused', errors }
    : withCommit(state, commit, [], isPresent ? [target] : [])
}

function judgeMessage(
  state: ModelState,
  { epoch }: SendMessageCommand,
  around: Surroundings,
  { messageEpochWindow }: ModelOptions,
): Verdict {
  if (around.message === 'other') return { is: 'refused', errors: ['IdempotencyConflict'] }
  if (epoch > state.epoch || epoch < state.epoch - messageEpochWindow) {
    return { is: 'refused', errors: ['EpochMismatch'] }
  }
  return { is: 'accepted', next: { ...state, seq: state.seq + 1 }, added: [], removed: [], entry: 'app' }
}

function commitErrors(state: ModelState, commit: CommitInput | undefined): ErrorName[] {
  if (!commit) return state.epochRule === 'open' ? [] : ['CommitRequired']
  if (commit.epoch === undefined) return []
  if (state.epochRule !== 'fixed') return commit.epoch < MAX_FIRST_EPOCH ? [] : ['InvalidCommit']
  return commit.epoch === state.epoch ? [] : ['EpochMismatch']
}

function invitationErrors({ lacksKeyPackage, hasStrangeWelcome }: Surroundings): ErrorName[] {
  const errors: ErrorName[] = []
  if (lacksKeyPackage) errors.push('KeyPackageNotFound')
  if (hasStrangeWelcome) errors.push('InvalidWelcome')
  return errors
}

function withCommit(
  state: ModelState,
  commit: CommitInput | undefined,
  added: string[],
  removed: string[],
): Verdict {
  const rest = without(state, removed)
  const next: ModelState = {
    ...rest,
    seq: state.seq + 1,
    epoch: (commit?.epoch ?? state.epoch) + 1,
    epochRule: commit ? 'fixed' : state.epochRule,
    members: [...rest.members, ...added],
  }
  return { is: 'accepted', next, added, removed, entry: 'commit' }
}

function without(state: ModelState, dids: string[]): ModelState {
  if (dids.length === 0) return state
  const members = state.members.filter((did) => !dids.includes(did))
  const creator = dids.includes(state.creator) ? members[0]! : state.creator
  return { ...state, members, creator, former: unique([...state.former, ...dids]) }
}

function unique(dids: string[]): string[] {
  return [...new Set(dids)]
}

/** Whether a Welcome names a package that the request does not; `packages` are those that its names stand for. */
export function isStrangeWelcome(
  command: Command,
  packages: { hash: string; ref: string | null }[],
): boolean {
  if (!('keyPackages' in command) || packages.length === 0) return false
  const meant = command.welcome?.newMembers ?? []
  return meant.some((name) => !packages.some(({ hash, ref }) => hash === name || ref === name))
}

export function namedPackages(command: Command): KeyPackageName[] {
  return 'keyPackages' in command ? command.keyPackages : []
}
