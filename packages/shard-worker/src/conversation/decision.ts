import type { Answer, CommandType, KeyPackageName, TokenUse } from '@catbird/shared/commands'
import { type ErrorName, type Refusal, refusal } from '@catbird/shared/errors'
import type { LogEvent } from '@catbird/shared/events'
import type { ConvoState, LogRow } from './state.ts'
import { evolve } from './state.ts'

/** What of the configuration decisions depend on. */
export type Policy = {
  maxMembers: number
  messageEpochWindow: number
  messageTtlMs: number
}

/** The inputs of a decision beside state, command and facts: all that would otherwise be impure. */
export type Context = {
  nowMs: number
  /** Identity of the command's rows, the same on every try. */
  entryId: string
  policy: Policy
}

/** One command's changes, ready to be stored. */
export type Change = {
  entryId: string
  rows: LogRow[]
  /** Key packages that acceptance consumes; last-resort ones are not among them. */
  keyPackages: KeyPackageName[]
  record?: IdempotencyRecord
  tokenUse?: TokenUse
}

export type IdempotencyRecord = {
  caller: string
  method: CommandType
  key: string
  contentHash: string
  answer: Answer
  expiresAtMs: number
}

/** `winnerOf`: the ended epoch whose winning commit the refusal must still name; it is read at release. */
export type Refused = { refusal: Refusal; winnerOf?: number }

export function refuse(error: ErrorName, message: string, details?: Record<string, unknown>): Refused {
  return { refusal: refusal(error, message, details) }
}

export type Decision =
  | { outcome: 'accepted'; state: ConvoState; change: Change; answer: Answer }
  /** The command took effect earlier; the stored answer is durable and needs no confirmation. */
  | { outcome: 'repeated'; answer: Answer }
  | ({ outcome: 'refused' } & Refused)

/** Collects the events of one accepted command, all at one time that is never before the conversation's last. */
export class Draft {
  readonly rows: LogRow[] = []
  state: ConvoState | null
  readonly atMs: number
  readonly #convoId: string

  constructor(convoId: string, state: ConvoState | null, nowMs: number) {
    this.#convoId = convoId
    this.state = state
    this.atMs = Math.max(nowMs, state?.lastAtMs ?? 0)
  }

  add(event: LogEvent): ConvoState {
    const next = evolve(this.#convoId, this.state, event, this.atMs)
    this.state = next.state
    this.rows.push(next.row)
    return next.state
  }
}

export type Accepted = { draft: Draft; answer: Answer; keyPackages?: KeyPackageName[] }
