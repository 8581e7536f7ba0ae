import { refusedByStore } from '@catbird/shard-worker/store/failures'
import { type Store, StoreError } from '@catbird/shard-worker/store/store'
import type { Clock } from '@catbird/shared/clock'
import type { CommandTelemetry } from '@catbird/shared/command-telemetry'
import { type Command, type Reply, refused } from '@catbird/shared/commands'
import type { NewId } from '@catbird/shared/ids'
import type { Logger } from 'pino'
import type { Executor } from './executor.ts'

type Waiting = { command: Command; entryId: string; arrivedAtMs: number; settle: (reply: Reply) => void }

export type DirectExecutorOptions = {
  store: Pick<Store, 'executeLocked'>
  clock: Clock
  newId: NewId
  telemetry: CommandTelemetry
  log: Logger
  /** Commands that run at once: each holds a connection. */
  maxRunning: number
  /** Commands that wait for one conversation. */
  queueLimit: number
}

/**
 * Runs commands without actors: the same decisions, each in a transaction that holds the conversation's row.
 *
 * Commands of one conversation wait in its queue before they take a connection, so that a hot conversation holds at
 * most one of them; conversations take connections in turn.
 */
export class DirectExecutor implements Executor {
  readonly #options: DirectExecutorOptions
  readonly #queues = new Map<string, Waiting[]>()
  /** Conversations with commands, none of them running. */
  readonly #ready: string[] = []
  #running = 0
  #isStopping = false

  constructor(options: DirectExecutorOptions) {
    this.#options = options
  }

  /** Commands that run, each over a connection, and conversations whose next command waits for one. */
  get load(): { inUse: number; waiting: number } {
    return { inUse: this.#running, waiting: this.#ready.length }
  }

  execute(command: Command): Promise<Reply> {
    if (this.#isStopping) return Promise.resolve(refused('ShuttingDown', 'the server is shutting down'))
    const queue = this.#queues.get(command.convoId)
    if (queue && queue.length >= this.#options.queueLimit) {
      const reply = refused('Overloaded', 'too many requests wait for this conversation')
      this.#options.telemetry.commandDone(command, reply, 0)
      return Promise.resolve(reply)
    }
    return new Promise((settle) => {
      const { clock, newId } = this.#options
      const waiting = { command, entryId: newId(), arrivedAtMs: clock.now(), settle }
      if (queue) queue.push(waiting)
      else {
        this.#queues.set(command.convoId, [waiting])
        this.#ready.push(command.convoId)
      }
      this.#next()
    })
  }

  /** Takes nothing more and waits until all is answered; at the deadline (Unix ms) the rest is told what is known. */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopping = true
    const { clock } = this.#options
    while (this.#queues.size > 0 && clock.now() < deadlineMs) await clock.sleep(5)
    this.#ready.length = 0
    for (const [first, ...others] of this.#queues.values()) {
      first?.settle(refused('OutcomeUnknown', 'the server shut down before the outcome was known'))
      for (const { settle } of others) settle(refused('ShuttingDown', 'the server shut down before this ran'))
    }
  }

  #next(): void {
    while (this.#running < this.#options.maxRunning) {
      const convoId = this.#ready.shift()
      if (convoId === undefined) return
      this.#running++
      void this.#runFirst(convoId).finally(() => {
        this.#running--
        this.#next()
      })
    }
  }

  /** A queue stays in the map, with its running command at the front, until it is empty. */
  async #runFirst(convoId: string): Promise<void> {
    const queue = this.#queues.get(convoId)!
    const waiting = queue[0]!
    const reply = await this.#run(waiting)
    const seconds = (this.#options.clock.now() - waiting.arrivedAtMs) / 1000
    this.#options.telemetry.commandDone(waiting.command, reply, seconds)
    waiting.settle(reply)
    queue.shift()
    if (queue.length > 0) this.#ready.push(convoId)
    else this.#queues.delete(convoId)
  }

  async #run({ command, entryId, arrivedAtMs }: Waiting): Promise<Reply> {
    const { store, clock, telemetry, log } = this.#options
    if (command.deadlineMs <= clock.now()) {
      return refused('Overloaded', 'the deadline passed before this command ran')
    }
    try {
      const { reply, change } = await store.executeLocked(command, entryId)
      for (const { event } of change?.rows ?? []) {
        if (event.kind !== 'commit') continue
        const seconds = (clock.now() - arrivedAtMs) / 1000
        telemetry.epochAdvanced(command.convoId, event.epoch, seconds, command.requestId)
      }
      return reply
    } catch (error) {
      if (error instanceof StoreError) return refusedByStore(error.failure)
      log.error({ err: error, requestId: command.requestId }, 'A command failed')
      return refused('InternalServerError', 'internal error')
    }
  }
}
