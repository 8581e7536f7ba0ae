import type { Refused } from '../conversation/decision.ts'
import type { Facts } from '../conversation/facts.ts'
import { CONCURRENT_WRITES } from '../store/store.ts'
import type { Actor } from './actor.ts'
import type { AcceptedDecision } from './batch.ts'
import { GroupCommit, type GroupCommitOptions } from './group-commit.ts'
import type { Pending } from './pending.ts'

/**
 * The group commits of a shard, side by side: the rows of one batch are written while another is on its way to the disk. A conversation stays in the lane of its unsettled units and is free
 * to take another when it has none, so no two lanes ever hold units of one conversation (G2).
 */
export class CommitLanes {
  readonly #lanes: GroupCommit[]

  constructor(options: GroupCommitOptions) {
    this.#lanes = Array.from({ length: CONCURRENT_WRITES }, () => new GroupCommit(options))
  }

  /** Whether nothing can be staged for anybody. */
  get areFull(): boolean {
    return this.#lanes.every(({ isFull }) => isFull)
  }

  /** Whether nothing more can be staged for this conversation. */
  isFullFor(actor: Actor): boolean {
    return this.#lanes[this.#laneOf(actor)]!.isFull
  }

  /** Whether another staged command holds something that this one needs for itself. */
  isClaimed(pending: Pending, facts?: Facts): boolean {
    return this.#lanes.some((lane) => lane.isClaimed(pending, facts))
  }

  stage(actor: Actor, pending: Pending, decision: AcceptedDecision): void {
    actor.lane = this.#laneOf(actor)
    this.#lanes[actor.lane]!.stage(actor, pending, decision)
  }

  /** Holds a refusal that rests on staged state until that state is durable (G6). */
  attachRefusal(actor: Actor, pending: Pending, refused: Refused): void {
    this.#lanes[actor.lane]!.attachRefusal(actor, pending, refused)
  }

  flush(): void {
    for (const lane of this.#lanes) lane.flush()
  }

  #laneOf(actor: Actor): number {
    return actor.unsettledUnits > 0 ? actor.lane : this.#freest()
  }

  #freest(): number {
    const loads = this.#lanes.map(({ load }) => load)
    return loads.indexOf(Math.min(...loads))
  }
}
