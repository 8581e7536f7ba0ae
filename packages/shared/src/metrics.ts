import { Counter, Histogram, type Registry } from 'prom-client'
import type { CommandType, Reply } from './commands.ts'

export type Executor = 'actor' | 'direct'

/** The one kind of actor that there is; a label, since dashboards of this family select by it. */
export const ACTOR_TYPE = 'conversation_actor'

const CONFLICT_REASONS = ['commit_stale', 'commit_ahead', 'message_epoch'] as const

const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** What both executors tell about commands and epochs, so that a roll-out can compare them. */
export class CommandMetrics {
  readonly #executor: Executor
  readonly #duration: Histogram<'executor' | 'command' | 'outcome'>
  readonly #epochs: Histogram<'executor'>
  readonly #conflicts: Counter<'executor' | 'reason'>

  constructor(registry: Registry, executor: Executor) {
    const registers = [registry]
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

  commandDone(type: CommandType, reply: Reply, seconds: number): void {
    const outcome = reply.ok ? 'accepted' : reply.refusal.error
    this.#duration.observe({ executor: this.#executor, command: type, outcome }, seconds)
    if (!reply.ok && reply.refusal.error === 'EpochMismatch') {
      this.#conflicts.inc({ executor: this.#executor, reason: conflictReason(type, reply.refusal.details) })
    }
  }

  epochAdvanced(seconds: number): void {
    this.#epochs.observe({ executor: this.#executor }, seconds)
  }
}

/** A commit that lost to another, one built too far ahead, or a message of another epoch. */
function conflictReason(
  type: CommandType,
  details: Record<string, unknown> = {},
): (typeof CONFLICT_REASONS)[number] {
  if (type === 'sendMessage') return 'message_epoch'
  return Number(details.expectedEpoch) > Number(details.serverEpoch) ? 'commit_ahead' : 'commit_stale'
}
