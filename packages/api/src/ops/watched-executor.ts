import type { Clock } from '@catbird/shared/clock'
import type { Command, CommandType, Reply } from '@catbird/shared/commands'
import type { Executor } from '../executors/executor.ts'
import type { HotConvos } from './hot-convos.ts'
import type { Place, Placement } from './placement.ts'

/** Conflicts that are remembered. */
const MAX_CONFLICTS = 50

/** A command refused because it was built on another epoch. */
export type Conflict = {
  atMs: number
  convoId: string
  executor: Place['executor']
  command: CommandType
  serverEpoch: number
  expectedEpoch: number
  requestId: string
}

/** What one executor answered since it was last asked. */
export type AnswerTimes = { commands: number; totalMs: number }

type Parts = { inner: Executor; clock: Clock; placement: Placement; hot: HotConvos }

/** An executor with an eye on what passes: how much for whom, how fast, and which commands lost their epoch. */
export class WatchedExecutor implements Executor {
  readonly #parts: Parts
  #conflicts: Conflict[] = []
  #times = { actor: noAnswers(), direct: noAnswers() }

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The latest, oldest first. */
  get conflicts(): readonly Conflict[] {
    return this.#conflicts
  }

  async execute(command: Command): Promise<Reply> {
    const { inner, hot, placement } = this.#parts
    hot.count(command.convoId)
    const startedMs = performance.now()
    const reply = await inner.execute(command)
    const executor = placement.executorOf(command.convoId)
    const times = this.#times[executor]
    times.commands++
    times.totalMs += performance.now() - startedMs
    if (!reply.ok && reply.refusal.error === 'EpochMismatch') {
      this.#conflict(command, executor, reply.refusal.details)
    }
    return reply
  }

  /** Begins to count anew. */
  takeTimes(): Record<Place['executor'], AnswerTimes> {
    const times = this.#times
    this.#times = { actor: noAnswers(), direct: noAnswers() }
    return times
  }

  #conflict(
    { convoId, type, requestId }: Command,
    executor: Place['executor'],
    details: Record<string, unknown> = {},
  ): void {
    const conflict: Conflict = {
      atMs: this.#parts.clock.now(),
      convoId,
      executor,
      command: type,
      serverEpoch: Number(details.serverEpoch),
      expectedEpoch: Number(details.expectedEpoch),
      requestId,
    }
    this.#conflicts = [...this.#conflicts, conflict].slice(-MAX_CONFLICTS)
  }
}

function noAnswers(): AnswerTimes {
  return { commands: 0, totalMs: 0 }
}
