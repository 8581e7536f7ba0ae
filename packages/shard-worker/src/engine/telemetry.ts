import type { CommandType, Reply } from '@catbird/shared/commands'
import type { ConvoState } from '../conversation/state.ts'
import type { StoreFailure } from '../store/store.ts'

export type StopReason = 'idle' | 'evicted' | 'absent' | 'operator' | 'shutdown'
/** Why an actor gave up its state and read it again. */
export type RestartReason = 'guard_lost' | 'refusal_stale' | 'batch_failed' | 'outcome_unknown'
export type DropReason = 'deadline' | 'mailbox_full' | 'shutdown' | 'database' | 'outcome_unknown'

/** What is told of a command: no content, no DID. */
export type CommandInfo = { type: CommandType; convoId: string; requestId: string }

/** What the engine tells the outside about itself; requests carry their id so that log lines can. */
export type Telemetry = {
  actorStarted(state: ConvoState): void
  actorStopped(convoId: string, reason: StopReason): void
  actorRestarted(convoId: string, reason: RestartReason): void
  commandDropped(command: CommandInfo, reason: DropReason): void
  commandDone(command: CommandInfo, reply: Reply, seconds: number): void
  epochAdvanced(convoId: string, epoch: number, seconds: number, requestId: string): void
  batchWritten(rows: number, seconds: number): void
  batchFailed(failure: StoreFailure): void
}
