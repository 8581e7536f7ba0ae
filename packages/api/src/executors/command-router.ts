import type { Command, Reply } from '@catbird/shared/commands'
import { isRolledOut } from '@catbird/shared/shard-map'
import type { Executor } from './executor.ts'

/** Sends each conversation's commands to its executor: actors for the rolled-out share, else directly. */
export class CommandRouter implements Executor {
  readonly #actors: Executor | undefined
  readonly #direct: Executor
  readonly #rolloutPercent: number

  /** @param actors absent when the actor system is off */
  constructor(actors: Executor | undefined, direct: Executor, rolloutPercent: number) {
    this.#actors = actors
    this.#direct = direct
    this.#rolloutPercent = rolloutPercent
  }

  execute(command: Command): Promise<Reply> {
    const isActor = this.#actors && isRolledOut(command.convoId, this.#rolloutPercent)
    return isActor ? this.#actors!.execute(command) : this.#direct.execute(command)
  }
}
