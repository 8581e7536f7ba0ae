import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type {
  ActorReport,
  Passivation,
  ShardAnswers,
  ShardSample,
  ShardSettings,
  ShardStatus,
  ShardTask,
} from '@catbird/shared/shard-protocol'
import { withDeadline } from '@catbird/shared/sql'
import { Piscina } from 'piscina'

const WORKER = import.meta.resolve('@catbird/shard-worker/main')
/** One of each kind is under way at most, so that none is ever refused. */
const CONTROL_TASKS = 8
/** Garbage collected often and little: with the default, a collection stops the thread for up to 20 ms. */
const YOUNG_GENERATION_MB = 12
const START_MS = 15_000
const CONTROL_MS = 1000
const DESTROY_MS = 2000
const LAST_WORDS_MS = 20

/** The thread lives, as far as anybody knows, and does not answer. */
export class ShardSilent extends Error {}

/** One life of a shard's thread. A new life gets a new pool: a pool whose worker cannot load never settles. */
export class ShardThread {
  readonly port: MessagePort
  readonly #pool: Piscina
  /** Kinds of questions of operators that have no answer yet. */
  readonly #asked = new Set<ShardTask['type']>()

  private constructor(pool: Piscina, port: MessagePort) {
    this.#pool = pool
    this.port = port
  }

  /** Resolves when the shard takes commands; rejects, with nothing left running, when it cannot start in time. */
  static async start(settings: ShardSettings, onDeath: (error: unknown) => void): Promise<ShardThread> {
    const pool = new Piscina({
      filename: WORKER,
      minThreads: 1,
      maxThreads: 1,
      // Would park the thread between tasks, and with it timers, sockets and flushes.
      atomics: 'disabled',
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
      concurrentTasksPerWorker: CONTROL_TASKS,
      maxQueue: CONTROL_TASKS,
    })
    const { port1, port2 } = new MessageChannel()
    const thread = new ShardThread(pool, port1)
    pool.on('error', onDeath)
    // The far end of the port dies with its thread, also when the pool says nothing; what it says is worth a moment.
    port1.on('close', () => {
      setTimeout(() => onDeath(new Error('the thread ended')), LAST_WORDS_MS)
    })
    try {
      await thread.#control({ type: 'start', settings, port: port2 }, START_MS, [port2])
      return thread
    } catch (error) {
      await thread.destroy()
      throw error
    }
  }

  /** Rejects when the thread does not answer within a second. */
  async ping(deadlineMs = CONTROL_MS): Promise<void> {
    await this.#control({ type: 'ping' }, deadlineMs)
  }

  async status(): Promise<ShardStatus> {
    return (await this.#control({ type: 'status' }, CONTROL_MS))!
  }

  sample(): Promise<ShardSample> {
    return this.#ask({ type: 'sample' })
  }

  describeActor(convoId: string): Promise<ActorReport> {
    return this.#ask({ type: 'actor', convoId })
  }

  passivate(convoId: string): Promise<Passivation> {
    return this.#ask({ type: 'passivate', convoId })
  }

  /** Lets the shard finish what it has, until the deadline (Unix ms). */
  async stop(deadlineMs: number): Promise<void> {
    await this.#control({ type: 'stop', deadlineMs }, deadlineMs - Date.now() + CONTROL_MS)
  }

  /** Ends the thread without warning, as a crash would. */
  async terminate(): Promise<void> {
    await this.#pool.destroy()
  }

  async destroy(): Promise<void> {
    this.port.removeAllListeners('close')
    this.port.close()
    await withDeadline(this.#pool.destroy(), DESTROY_MS, () => new Error('deadline')).catch(() => {})
  }

  /** Rejects also while the last question of the kind has no answer: no more than one hangs in a silent thread. */
  async #ask<T extends 'sample' | 'actor' | 'passivate'>(
    task: ShardTask & { type: T },
  ): Promise<NonNullable<ShardAnswers[T]>> {
    if (this.#asked.has(task.type))
      throw new ShardSilent(`the shard has not answered the last ${task.type} yet`)
    this.#asked.add(task.type)
    const run = this.#pool.run(task).finally(() => this.#asked.delete(task.type))
    const answer = await this.#within(CONTROL_MS, task.type, run)
    if (!answer) throw new Error('the shard is not at work')
    return answer
  }

  #control<T extends ShardTask['type']>(
    task: ShardTask & { type: T },
    deadlineMs: number,
    transferList: MessagePort[] = [],
  ): Promise<ShardAnswers[T]> {
    // Never an abort signal: it would kill the thread and all its actors.
    return this.#within(deadlineMs, task.type, this.#pool.run(task, { transferList }))
  }

  #within<T>(deadlineMs: number, type: ShardTask['type'], run: Promise<T>): Promise<T> {
    return withDeadline(run, deadlineMs, () => new ShardSilent(`the shard did not answer ${type} in time`))
  }
}
