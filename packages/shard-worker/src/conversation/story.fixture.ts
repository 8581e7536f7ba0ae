import { sha256Hex } from '@catbird/shared/bytes'
import type {
  AddMembersCommand,
  Answer,
  Command,
  CreateConvoCommand,
  LeaveConvoCommand,
  SendMessageCommand,
} from '@catbird/shared/commands'
import type { Refusal } from '@catbird/shared/errors'
import { decide } from './decide.ts'
import type { Change, Decision, Policy } from './decision.ts'
import { type Facts, NO_FACTS } from './facts.ts'
import type { ConvoState } from './state.ts'

export const CONVO = '0a'

function base(caller: string) {
  return { convoId: CONVO, caller, requestId: 'r', deadlineMs: Number.MAX_SAFE_INTEGER, size: 1 }
}

export function commitOf(content: string, epoch?: number) {
  const bytes = Buffer.from(content)
  return { bytes, sha256: sha256Hex(bytes), epoch }
}

/** Tracked from epoch 0 on, unless told otherwise. */
export function create(
  caller: string,
  initialMembers: string[] = [],
  more: Partial<CreateConvoCommand> = {},
): Command {
  const fixed = { type: 'createConvo' as const, cipherSuite: 'suite', epoch: 0 }
  return { ...base(caller), ...fixed, keyPackages: [], initialMembers, ...more }
}

export function add(caller: string, dids: string[], more: Partial<AddMembersCommand> = {}): Command {
  return { ...base(caller), type: 'addMembers', dids, keyPackages: [], ...more }
}

/** A commit that ends `epoch`. */
export function commit(
  caller: string,
  epoch: number,
  dids: string[] = [],
  more: Partial<AddMembersCommand> = {},
): Command {
  return add(caller, dids, { commit: commitOf(`${caller} ${epoch}`, epoch), ...more })
}

export function remove(caller: string, target: string, more: Partial<LeaveConvoCommand> = {}): Command {
  return { ...base(caller), type: 'leaveConvo', target, ...more }
}

export function leave(caller: string): Command {
  return remove(caller, caller)
}

export function send(caller: string, epoch: number, more: Partial<SendMessageCommand> = {}): Command {
  const bytes = Buffer.from('content')
  return { ...base(caller), type: 'sendMessage', bytes, sha256: sha256Hex(bytes), epoch, ...more }
}

/** One conversation that lives through decisions alone, without actor, batch or database. */
export class Story {
  state: ConvoState | null = null
  nowMs = Date.UTC(2026, 0, 1)
  facts: Facts = NO_FACTS
  readonly policy: Policy = { maxMembers: 4, messageEpochWindow: 0, messageTtlMs: 1000 }
  #entries = 0

  constructor(...commands: Command[]) {
    for (const command of commands) this.accept(command)
  }

  decide(command: Command): Decision {
    const { nowMs, policy } = this
    return decide(this.state, command, this.facts, { nowMs, entryId: `entry ${++this.#entries}`, policy })
  }

  /** What an accepted command is answered and changes. */
  accept(command: Command): { answer: Answer; change: Change; state: ConvoState } {
    const decision = this.decide(command)
    if (decision.outcome !== 'accepted') throw new Error(JSON.stringify(decision))
    this.state = decision.state
    return decision
  }

  refuse(command: Command): Refusal {
    const decision = this.decide(command)
    if (decision.outcome !== 'refused') throw new Error(`${command.type} was ${decision.outcome}`)
    return decision.refusal
  }
}
