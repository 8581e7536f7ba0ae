import type { EventLoopUtilization } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import type { Clock } from '@catbird/shared/clock'
import type { ShardSample } from '@catbird/shared/shard-protocol'
import type { ShardClient } from '../shards/shard-client.ts'
import { figuresOf, round, type ShardFigures } from './figures.ts'
import { SampleHistory } from './sample-history.ts'
import type { AnswerTimes, WatchedExecutor } from './watched-executor.ts'

export const SAMPLE_MS = 2000
const KEPT_MS = 15 * 60_000

type Taken = { atMs: number; sample: ShardSample }

/**
 * Takes a sample of the front and of each shard every two seconds whether anybody looks or not, so that what led to
 * something can be seen after it. A shard answers in well under a millisecond; one that does not leaves a gap.
 */
export class Sampler {
  readonly history: SampleHistory
  readonly #shards: readonly ShardClient[]
  readonly #watched: WatchedExecutor
  readonly #clock: Clock
  readonly #taken = new Map<number, Taken>()
  #latest: (ShardFigures | undefined)[] = []
  #loop: EventLoopUtilization = performance.eventLoopUtilization()
  #atMs: number

  constructor(shards: readonly ShardClient[], watched: WatchedExecutor, clock: Clock) {
    this.#shards = shards
    this.#watched = watched
    this.#clock = clock
    this.#atMs = clock.now()
    this.history = new SampleHistory(shards.length, KEPT_MS / SAMPLE_MS)
  }

  /** Of each shard, as of the newest sample; undefined of one that did not answer. */
  get latest(): readonly (ShardFigures | undefined)[] {
    return this.#latest
  }

  async take(): Promise<void> {
    this.#latest = await Promise.all(this.#shards.map((shard) => this.#ask(shard)))
    const nowMs = this.#clock.now()
    const elapsedMs = nowMs - this.#atMs
    const { actor, direct } = this.#watched.takeTimes()
    const loop = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(loop, this.#loop)
    this.#loop = loop
    this.#atMs = nowMs
    const heap = getHeapStatistics()
    const sample = {
      atMs: nowMs,
      frontUtilization: round(utilization),
      frontHeap: round(heap.used_heap_size / heap.heap_size_limit),
      actorMs: meanMs(actor),
      directMs: meanMs(direct),
      directPerS: round((direct.commands * 1000) / Math.max(1, elapsedMs)),
    }
    this.history.add(sample, this.#latest)
  }

  async #ask(client: ShardClient): Promise<ShardFigures | undefined> {
    const before = this.#taken.get(client.shard)
    try {
      const sample = await client.sample()
      const atMs = this.#clock.now()
      this.#taken.set(client.shard, { atMs, sample })
      return figuresOf(before?.sample, sample, atMs - (before?.atMs ?? 0))
    } catch {
      return undefined
    }
  }
}

function meanMs({ commands, totalMs }: AnswerTimes): number | null {
  return commands > 0 ? round(totalMs / commands) : null
}
