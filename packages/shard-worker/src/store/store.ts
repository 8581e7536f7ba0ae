import type { Command, Reply } from '@catbird/shared/commands'
import type { Change } from '../conversation/decision.ts'
import type { FactKeys, Facts } from '../conversation/facts.ts'
import type { CommitRef, ConvoState } from '../conversation/state.ts'

/** One conversation's share of a batch: all or nothing, conditional on the version that was read. */
export type Unit = {
  convoId: string
  /** Version that the changes build on; 0 when the conversation does not exist yet. */
  expectedVersion: number
  changes: Change[]
  final: ConvoState
}

/** Batches of one shard that are written at once, each over a connection of its own. */
export const CONCURRENT_WRITES = 2

/** What the database says now of a conversation whose write is in doubt or whose refusal waits. */
export type Inspection = {
  /** 0: it does not exist. */
  version: number
  /** Entry id of log row `n`, when asked for and there. */
  entryId?: string
  /** The commit that ended epoch `winnerOf`, when asked for and there. */
  winner?: CommitRef
}

export type InspectionKey = { convoId: string; n?: number; winnerOf?: number }

/** The answer to a command that ran under the row's lock, and what it changed. */
export type LockedResult = { reply: Reply; change?: Change }

/** A write that was sent as log rows from `n` on, and the result that it has if it took effect. */
export type SentWrite = { n: number; result: LockedResult }

/**
 * All that the engine asks of the database. Every call ends within a deadline of its own; failures are
 * `StoreError`s.
 */
export type Store = {
  /** Conversations that do not exist are absent from the result. */
  load(convoIds: string[]): Promise<Map<string, ConvoState>>
  /** One answer per key, in order. */
  facts(keys: FactKeys[]): Promise<Facts[]>
  inspect(keys: InspectionKey[]): Promise<Inspection[]>
  /** Writes what its guards let through, in one transaction, and says which conversations those were. */
  write(units: Unit[]): Promise<Set<string>>
  /** Decides and writes one command while holding the conversation's row. */
  executeLocked(command: Command, entryId: string): Promise<LockedResult>
}

/**
 * - `unavailable`: nothing was sent.
 * - `rolledBack`: the database refused for a reason that passes (deadlock, timeout, a concurrent duplicate).
 * - `data`: some row can never be stored.
 * - `unknown`: the connection was lost; the write may have happened, or happen still.
 */
export type StoreFailure = 'unavailable' | 'rolledBack' | 'data' | 'unknown'

export class StoreError extends Error {
  readonly failure: StoreFailure

  constructor(failure: StoreFailure, cause: unknown) {
    super(`${failure}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.name = 'StoreError'
    this.failure = failure
  }
}
