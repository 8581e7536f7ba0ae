import type { BatchReport } from '@catbird/shared/shard-protocol'
import type { ConvoState } from '../conversation/state.ts'
import type { Pending } from './pending.ts'

/**
 * One conversation in memory: its state as decided so far, and the commands that wait for it. The shard takes its
 * commands in order; the group commit makes decisions durable.
 *
 * `state` is undefined before it was read and after it was given up; null when there is no such conversation.
 * While units are unsettled it runs ahead of the database.
 */
export class Actor {
  readonly convoId: string
  state: ConvoState | null | undefined = undefined
  /** Units with the group commit whose outcome is not known yet: at most one open and one in flight. */
  unsettledUnits = 0
  /** Index of the group commit that has the unsettled units. */
  lane = 0
  /** Takes no command: its outcome is being found out, or a command runs under the row's lock. */
  isBlocked = false
  /** Is in the shard's ready queue, or taking its turn. */
  isScheduled = false
  /** Has been announced as running; stays so when its state is read again. */
  isStarted = false
  /** Goes as soon as it has nothing in hand. */
  isLeaving = false
  /** The last transaction that wrote something of it. */
  lastBatch: BatchReport | undefined = undefined
  lastActiveMs: number
  #mailbox: Pending[] | undefined
  #mailboxBytes = 0

  constructor(convoId: string, nowMs: number) {
    this.convoId = convoId
    this.lastActiveMs = nowMs
  }

  get depth(): number {
    return this.#mailbox?.length ?? 0
  }

  get mailboxBytes(): number {
    return this.#mailboxBytes
  }

  get isIdle(): boolean {
    return this.#mailbox === undefined && this.unsettledUnits === 0 && !this.isBlocked && !this.isScheduled
  }

  push(pending: Pending): void {
    this.#mailbox ??= []
    this.#mailbox.push(pending)
    this.#mailboxBytes += pending.command.size
  }

  /** Puts commands back in front of those that wait, in their order. */
  putBack(pendings: Pending[]): void {
    if (pendings.length === 0) return
    this.#mailbox = [...pendings, ...(this.#mailbox ?? [])]
    for (const { command } of pendings) this.#mailboxBytes += command.size
  }

  take(max: number): Pending[] {
    const taken = this.#mailbox?.splice(0, max) ?? []
    for (const { command } of taken) this.#mailboxBytes -= command.size
    // An idle actor costs no array.
    if (this.#mailbox?.length === 0) this.#mailbox = undefined
    return taken
  }
}
