import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { ShardSettings, ShardStatus, ShardTask } from '@catbird/shared/shard-protocol'
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

  #control(
    task: ShardTask,
    deadlineMs: number,
    transferList: MessagePort[] = [],
  ): Promise<ShardStatus | undefined> {
    // Never an abort signal: it would kill the thread and all its actors.
    const run: Promise<ShardStatus | undefined> = this.#pool.run(task, { transferList })
    return withDeadline(
      run,
      deadlineMs,
      () => new ShardSilent(`the shard did not answer ${task.type} in time`),
    )
  }
}
