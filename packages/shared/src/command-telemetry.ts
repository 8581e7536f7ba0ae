import { Counter, Histogram, type Registry } from 'prom-client'
import type { CommandType, Reply } from './commands.ts'
import type { LogCap } from './log-cap.ts'

type Executor = 'actor' | 'direct'
type CommandInfo = { type: CommandType; convoId: string; requestId: string }

const CONFLICT_REASONS = ['commit_stale', 'commit_ahead', 'message_epoch'] as const

const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** What both executors tell about commands and epochs, in metrics and log lines, so that a roll-out can compare. */
export class CommandTelemetry {
  readonly #log: LogCap
  readonly #executor: Executor
  readonly #duration: Histogram<'executor' | 'command' | 'outcome'>
  readonly #epochs: Histogram<'executor'>
  readonly #conflicts: Counter<'executor' | 'reason'>

  constructor(registry: Registry, executor: Executor, log: LogCap) {
    const registers = [registry]
    this.#log = log
    this.#executor = executor
    this.#duration = new Histogram({
      name: 'conversation_command_duration_seconds',
      help: 'Time from the arrival of a command at its executor to its answer.',
      labelNames: ['executor', 'command', 'outcome'],
      buckets: LATENCY_BUCKETS,
      registers,
    })
    this.#epochs = new Histogram({
      name: 'epoch_increment_duration_seconds',
      help: 'Time from the arrival of a command to the COMMIT that advanced the epoch.',
      labelNames: ['executor'],
      buckets: LATENCY_BUCKETS,
      registers,
    })
    this.#conflicts = new Counter({
      name: 'epoch_conflicts_total',
      help: 'Commands refused because they were built on another epoch; normal when members commit at once.',
      labelNames: ['executor', 'reason'],
      registers,
    })
    // There from the start, so that a ratio over them is a number and not nothing.
    for (const reason of CONFLICT_REASONS) this.#conflicts.inc({ executor, reason }, 0)
  }

  commandDone(command: CommandInfo, reply: Reply, seconds: number): void {
    const { type, convoId, requestId } = command
    const outcome = reply.ok ? 'accepted' : reply.refusal.error
    this.#duration.observe({ executor: this.#executor, command: type, outcome }, seconds)
    this.#log.debug('Command done', { requestId, convoId, command: type, outcome, seconds })
    if (!reply.ok && reply.refusal.error === 'EpochMismatch') this.#conflict(command, reply.refusal.details)
  }

  epochAdvanced(convoId: string, epoch: number, seconds: number, requestId: string): void {
    this.#epochs.observe({ executor: this.#executor }, seconds)
    this.#log.line('epoch', 'info', `Conversation ${convoId} advanced to epoch ${epoch}`, {
      convoId,
      epoch,
      requestId,
    })
  }

  #conflict({ type, convoId, requestId }: CommandInfo, details: Record<string, unknown> = {}): void {
    this.#conflicts.inc({ executor: this.#executor, reason: conflictReason(type, details) })
    this.#log.line('conflict', 'info', `Epoch conflict in conversation ${convoId}`, {
      convoId,
      requestId,
      command: type,
      serverEpoch: Number(details.serverEpoch),
      expectedEpoch: Number(details.expectedEpoch),
    })
  }
}

/** A commit that lost to another, one built too far ahead, or a message of another epoch. */
function conflictReason(
  type: CommandType,
  details: Record<string, unknown>,
): (typeof CONFLICT_REASONS)[number] {
  if (type === 'sendMessage') return 'message_epoch'
  return Number(details.expectedEpoch) > Number(details.serverEpoch) ? 'commit_ahead' : 'commit_stale'
}
