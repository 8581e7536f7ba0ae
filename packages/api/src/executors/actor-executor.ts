import type { Command, Reply } from '@catbird/shared/commands'
import { ShardMap } from '@catbird/shared/shard-map'
import type { ShardClient } from '../shards/shard-client.ts'
import type { Executor } from './executor.ts'

/** Runs commands in the shard that owns their conversation. */
export class ActorExecutor implements Executor {
  readonly shards: readonly ShardClient[]
  readonly #map: ShardMap

  constructor(shards: readonly ShardClient[]) {
    this.shards = shards
    this.#map = new ShardMap(shards.length)
  }

  execute(command: Command): Promise<Reply> {
    return this.shards[this.#map.route(command.convoId)]!.execute(command)
  }

  async start(): Promise<void> {
    await Promise.all(this.shards.map((shard) => shard.start()))
  }

  /** Lets all shards finish what they have, until the deadline (Unix ms). */
  async stop(deadlineMs: number): Promise<void> {
    await Promise.all(this.shards.map((shard) => shard.stop(deadlineMs)))
  }
}
