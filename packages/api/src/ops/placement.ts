import { isRolledOut, ShardMap } from '@catbird/shared/shard-map'
import type { Config } from '../config.ts'

/** Who runs a conversation's commands; `shard` only with an actor. */
export type Place = { executor: 'actor' | 'direct'; shard?: number }

/** Where conversations are, as the roll-out and the number of shards have it. */
export class Placement {
  readonly #percent: number
  readonly #map: ShardMap

  constructor({ actors, shards }: Pick<Config, 'actors' | 'shards'>) {
    this.#percent = actors.isEnabled ? actors.rolloutPercent : 0
    this.#map = new ShardMap(shards.count)
  }

  executorOf(convoId: string): Place['executor'] {
    return this.#percent > 0 && isRolledOut(convoId, this.#percent) ? 'actor' : 'direct'
  }

  placeOf(convoId: string): Place {
    const executor = this.executorOf(convoId)
    return executor === 'actor' ? { executor, shard: this.#map.route(convoId) } : { executor }
  }
}
