import { sha256Hex } from '@catbird/shared/bytes'
import type {
  AddMembersCommand,
  CommitInput,
  CreateConvoCommand,
  LeaveConvoCommand,
  SendMessageCommand,
} from '@catbird/shared/commands'

/** Commands for tests that read like a story: the name is the request's id and its content. */

export const CONVO = '0a'

function base(name: string, caller: string) {
  return { convoId: CONVO, caller, requestId: name, deadlineMs: Number.MAX_SAFE_INTEGER, size: 100 }
}

function commitInput(name: string, epoch: number | undefined): CommitInput {
  const bytes = Buffer.from(name)
  return { bytes, sha256: sha256Hex(bytes), epoch }
}

export function create(
  name: string,
  caller: string,
  more: Partial<CreateConvoCommand> = {},
): CreateConvoCommand {
  const common = { ...base(name, caller), type: 'createConvo' as const, cipherSuite: 'suite' }
  return { ...common, initialMembers: [], keyPackages: [], ...more }
}

/** A commit that ends `epoch`. */
export function commit(
  name: string,
  caller: string,
  epoch: number | undefined,
  more: Partial<AddMembersCommand> = {},
): AddMembersCommand {
  const common = { ...base(name, caller), type: 'addMembers' as const, dids: [], keyPackages: [] }
  return { ...common, commit: commitInput(name, epoch), ...more }
}

export function add(name: string, caller: string, dids: string[], epoch: number): AddMembersCommand {
  return commit(name, caller, epoch, { dids })
}

export function send(
  name: string,
  caller: string,
  epoch: number,
  more: Partial<SendMessageCommand> = {},
): SendMessageCommand {
  const bytes = Buffer.from(name)
  return { ...base(name, caller), type: 'sendMessage', bytes, sha256: sha256Hex(bytes), epoch, ...more }
}

export function leave(name: string, caller: string): LeaveConvoCommand {
  return { ...base(name, caller), type: 'leaveConvo', target: caller }
}

export function remove(name: string, caller: string, target: string, epoch: number): LeaveConvoCommand {
  return { ...base(name, caller), type: 'leaveConvo', target, commit: commitInput(name, epoch) }
}
