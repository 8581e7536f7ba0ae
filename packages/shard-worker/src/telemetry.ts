import type { Clock } from '@catbird/shared/clock'
import { CommandTelemetry } from '@catbird/shared/command-telemetry'
import type { Reply } from '@catbird/shared/commands'
import { LogCap } from '@catbird/shared/log-cap'
import type { LogLine, ShardSettings } from '@catbird/shared/shard-protocol'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { ConvoState } from './conversation/state.ts'
import type { CommandInfo, DropReason, RestartReason, StopReason, Telemetry } from './engine/telemetry.ts'
import type { StoreFailure } from './store/store.ts'

/** The one kind of actor that there is; a label, since dashboards of this family select by it. */
export const ACTOR_TYPE = 'conversation_actor'

/** A batch that takes longer is worth a line. */
const SLOW_BATCH_SECONDS = 0.25

type TelemetrySettings = Pick<ShardSettings, 'shard' | 'isDebug'>
type WriteLine = (line: LogLine) => void

/** The engine's telemetry as Prometheus metrics and log lines. */
export class ShardTelemetry implements Telemetry {
  readonly #commands: CommandTelemetry
  readonly #log: LogCap
  readonly #spawns: Counter<'actor_type'>
  readonly #stops: Counter<'actor_type' | 'reason'>
  readonly #restarts: Counter<'actor_type' | 'reason'>
  readonly #active: Gauge<'shard'>
  readonly #messages: Histogram<'actor_type' | 'message_type'>
  readonly #drops: Counter<'actor_type' | 'reason'>
  readonly #mailboxFull: Counter
  readonly #batchRows: Histogram
  readonly #batchSeconds: Histogram
  readonly #batchFailures: Counter<'reason'>
  readonly #shard: { shard: string }

  constructor(registry: Registry, { shard, isDebug }: TelemetrySettings, clock: Clock, write: WriteLine) {
    const registers = [registry]
    this.#shard = { shard: String(shard) }
    this.#log = new LogCap(clock, write, isDebug)
    this.#commands = new CommandTelemetry(registry, 'actor', this.#log)
    this.#spawns = new Counter({
      name: 'actor_spawns_total',
      help: 'Actors started.',
      labelNames: ['actor_type'],
      registers,
    })
    this.#stops = new Counter({
      name: 'actor_stops_total',
      help: 'Actors stopped, by reason.',
      labelNames: ['actor_type', 'reason'],
      registers,
    })
    this.#restarts = new Counter({
      name: 'actor_restarts_total',
      help: 'Times an actor gave up its state and read it again, by reason.',
      labelNames: ['actor_type', 'reason'],
      registers,
    })
    this.#active = new Gauge({
      name: 'actor_active',
      help: 'Actors in memory.',
      labelNames: ['shard'],
      registers,
    })
    this.#messages = new Histogram({
      name: 'actor_message_duration_seconds',
      help: 'Time from the arrival of a command in the mailbox to its answer.',
      labelNames: ['actor_type', 'message_type'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    })
    this.#drops = new Counter({
      name: 'actor_message_drops_total',
      help: 'Commands answered without having been decided, by reason.',
      labelNames: ['actor_type', 'reason'],
      registers,
    })
    this.#mailboxFull = new Counter({
      name: 'actor_mailbox_full_events_total',
      help: 'Commands shed because their mailbox was full.',
      registers,
    })
    this.#batchRows = new Histogram({
      name: 'group_commit_rows',
      help: 'Log rows per transaction.',
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
      registers,
    })
    this.#batchSeconds = new Histogram({
      name: 'group_commit_duration_seconds',
      help: 'Time that one transaction took.',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    })
    this.#batchFailures = new Counter({
      name: 'group_commit_failures_total',
      help: 'Transactions that failed, by reason.',
      labelNames: ['reason'],
      registers,
    })
    this.#active.set(this.#shard, 0)
  }

  actorStarted({ convoId, epoch }: ConvoState): void {
    this.#spawns.inc({ actor_type: ACTOR_TYPE })
    this.#active.inc(this.#shard)
    this.#log.line('spawn', 'info', `Successfully spawned actor for conversation ${convoId}`, { convoId })
    this.#log.line('start', 'info', `ConversationActor ${convoId} starting at epoch ${epoch}`, {
      convoId,
      epoch,
    })
  }

  actorStopped(convoId: string, reason: StopReason): void {
    this.#stops.inc({ actor_type: ACTOR_TYPE, reason })
    this.#active.dec(this.#shard)
    this.#log.line('stop', 'info', `ConversationActor ${convoId} passivated`, { convoId, reason })
  }

  actorRestarted(convoId: string, reason: RestartReason): void {
    this.#restarts.inc({ actor_type: ACTOR_TYPE, reason })
    this.#log.line('restart', 'info', `ConversationActor ${convoId} reads its state again`, {
      convoId,
      reason,
    })
  }

  commandDropped({ convoId, requestId, type }: CommandInfo, reason: DropReason): void {
    this.#drops.inc({ actor_type: ACTOR_TYPE, reason })
    if (reason === 'mailbox_full') this.#mailboxFull.inc()
    this.#log.line('drop', 'warn', `ConversationActor ${convoId} dropped a command`, {
      convoId,
      requestId,
      command: type,
      reason,
    })
  }

  commandDone(command: CommandInfo, reply: Reply, seconds: number): void {
    this.#commands.commandDone(command, reply, seconds)
    this.#messages.observe({ actor_type: ACTOR_TYPE, message_type: command.type }, seconds)
  }

  epochAdvanced(convoId: string, epoch: number, seconds: number, requestId: string): void {
    this.#commands.epochAdvanced(convoId, epoch, seconds, requestId)
  }

  batchWritten(rows: number, seconds: number): void {
    this.#batchRows.observe(rows)
    this.#batchSeconds.observe(seconds)
    if (seconds > SLOW_BATCH_SECONDS) this.#log.line('slow', 'warn', 'Slow batch', { rows, seconds })
  }

  batchFailed(failure: StoreFailure): void {
    this.#batchFailures.inc({ reason: failure })
    this.#log.line('failure', 'warn', 'Batch failed', { reason: failure })
  }
}
