import { getHeapStatistics } from 'node:v8'
import type { MessagePort } from 'node:worker_threads'
import { systemClock } from '@catbird/shared/clock'
import type { Reply } from '@catbird/shared/commands'
import { newEntryId } from '@catbird/shared/ids'
import { integrityCounter } from '@catbird/shared/integrity-counter'
import { QueryTimer } from '@catbird/shared/query-timer'
import type {
  ActorReport,
  FromShard,
  LogLine,
  Passivation,
  ShardSample,
  ShardSettings,
  ShardStatus,
  ToShard,
} from '@catbird/shared/shard-protocol'
import { Gauge, Registry } from 'prom-client'
import type { Actor } from './engine/actor.ts'
import { Shard } from './engine/shard.ts'
import { describeActor, sampleShard } from './sample-shard.ts'
import { measured } from './store/measured-store.ts'
import { PgStore } from './store/pg-store.ts'
import { ACTOR_TYPE, ShardTelemetry } from './telemetry.ts'

const SWEEP_MS = 1000
const MAILBOX_BYTES = 64 * 2 ** 20
const BATCH_BYTES = 8 * 2 ** 20
/** Commands that may wait for a row at once. */
const LOCKERS = 2

/** A shard at work in its thread: the engine, its store, and the port to the front. */
export class RunningShard {
  readonly #shard: Shard
  readonly #store: PgStore
  readonly #port: MessagePort
  readonly #registry: Registry
  readonly #settings: ShardSettings
  readonly #sweeper: NodeJS.Timeout
  readonly #mailboxDepth: Gauge<'actor_type' | 'convo_id'>
  readonly #mailboxDepthSum: Gauge<'shard'>
  #outbox: FromShard = { replies: [], logs: [] }
  #isPosting = false

  private constructor(settings: ShardSettings, port: MessagePort) {
    this.#settings = settings
    this.#port = port
    this.#registry = new Registry()
    const registers = [this.#registry]
    this.#mailboxDepth = new Gauge({
      name: 'actor_mailbox_depth',
      help: 'Commands waiting per conversation, of the deepest mailboxes only.',
      labelNames: ['actor_type', 'convo_id'],
      registers,
    })
    this.#mailboxDepthSum = new Gauge({
      name: 'actor_mailbox_depth_sum',
      help: 'Commands waiting in all mailboxes of a shard.',
      labelNames: ['shard'],
      registers,
    })
    const { databaseUrl: url, incarnation, policy, shard } = settings
    const base = { clock: systemClock, policy }
    this.#store = new PgStore({ ...base, url, incarnation, name: `shard ${shard}`, lockers: LOCKERS })
    const duplicates = integrityCounter(this.#registry, ['unique_index'])
    this.#shard = new Shard({
      ...base,
      store: measured(this.#store, {
        timer: new QueryTimer(this.#registry),
        onDuplicate: () => duplicates.inc({ rule: 'unique_index' }),
        onFault: ({ requestId, convoId, type }, error) => {
          const fields = { requestId, convoId, command: type, ...causeOf(error) }
          this.#log({ level: 'error', message: 'A command failed', fields })
        },
      }),
      newId: newEntryId,
      random: Math.random,
      telemetry: new ShardTelemetry(this.#registry, settings, systemClock, (line) => this.#log(line)),
      limits: {
        mailboxCommands: settings.mailboxCommands,
        mailboxBytes: MAILBOX_BYTES,
        maxResident: settings.maxResident,
        idleMs: settings.idleMs,
        batchRows: settings.batchRows,
        batchBytes: BATCH_BYTES,
      },
    })
    this.#sweeper = setInterval(() => this.#shard.sweep(), SWEEP_MS)
  }

  /** Resolves when commands can be taken; they may come before the database answers, and are refused by name. */
  static async start(settings: ShardSettings, port: MessagePort): Promise<RunningShard> {
    const running = new RunningShard(settings, port)
    port.on('message', (message: ToShard) => running.#take(message))
    return running
  }

  async status(): Promise<ShardStatus> {
    const actors = [...this.#shard.actors.values()]
    const deepest = actors
      .filter(({ depth }) => depth > 0)
      .sort((a, b) => b.depth - a.depth)
      .slice(0, this.#settings.metricsConvoLimit)
    const mailboxDepth = actors.reduce((sum, { depth }) => sum + depth, 0)
    this.#setDepths(deepest.length > 0 ? deepest : actors.slice(-this.#settings.metricsConvoLimit))
    this.#mailboxDepthSum.set({ shard: String(this.#settings.shard) }, mailboxDepth)
    const heap = getHeapStatistics()
    const { active, idle } = performance.eventLoopUtilization()
    return {
      activeActors: actors.length,
      mailboxDepth,
      eventLoop: { activeMs: active, idleMs: idle },
      heapUsedBytes: heap.used_heap_size,
      heapLimitBytes: heap.heap_size_limit,
      metrics: await this.#registry.getMetricsAsJSON(),
    }
  }

  sample(): Promise<ShardSample> {
    return sampleShard(this.#shard.actors.values(), this.#registry)
  }

  describeActor(convoId: string): ActorReport {
    return describeActor(this.#shard.actors.peek(convoId))
  }

  passivate(convoId: string): Passivation {
    return this.#shard.actors.passivate(convoId)
  }

  async stop(deadlineMs: number): Promise<void> {
    clearInterval(this.#sweeper)
    await this.#shard.stop(deadlineMs)
    this.#post()
    await this.#store.close()
    this.#port.close()
  }

  #take({ requests }: ToShard): void {
    for (const { id, command } of requests) {
      void this.#shard.submit(command).then((reply) => this.#reply(id, reply))
    }
  }

  #reply(id: number, reply: Reply): void {
    this.#outbox.replies.push({ id, reply })
    this.#postSoon()
  }

  #log(line: LogLine): void {
    this.#outbox.logs.push(line)
    this.#postSoon()
  }

  /** All that a tick brings goes in one message. */
  #postSoon(): void {
    if (this.#isPosting) return
    this.#isPosting = true
    setImmediate(() => this.#post())
  }

  #post(): void {
    this.#isPosting = false
    const outbox = this.#outbox
    this.#outbox = { replies: [], logs: [] }
    if (outbox.replies.length + outbox.logs.length > 0) this.#port.postMessage(outbox)
  }

  #setDepths(actors: Actor[]): void {
    this.#mailboxDepth.reset()
    for (const { convoId, depth } of actors) {
      this.#mailboxDepth.set({ actor_type: ACTOR_TYPE, convo_id: convoId }, depth)
    }
  }
}

/** What the database complained of, without the values that it names. */
function causeOf(error: unknown): Record<string, string> {
  const { code = '', message = '', constraint_name = '' } = error as Record<string, string | undefined>
  return { sqlState: code, cause: message, constraint: constraint_name }
}
