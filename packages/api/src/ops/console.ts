import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { systemClock } from '@catbird/shared/clock'
import type { Passivation } from '@catbird/shared/shard-protocol'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { Query } from '../database/front-database.ts'
import type { Executor } from '../executors/executor.ts'
import { Scheduler } from '../jobs/scheduler.ts'
import type { ShardClient } from '../shards/shard-client.ts'
import { ConvoFinder, type FoundConvo } from './find-convo.ts'
import { Gate } from './gate.ts'
import { HotConvos } from './hot-convos.ts'
import { Placement } from './placement.ts'
import { SAMPLE_MS, Sampler } from './sampler.ts'
import { settingsInForce } from './settings-in-force.ts'
import { readStaticFiles, type StaticFile } from './static-files.ts'
import { WatchedExecutor } from './watched-executor.ts'

const TOP_CONVOS = 15

export type ConsoleParts = {
  config: Config
  log: Logger
  version: string
  executor: Executor
  /** Undefined when the actor system is off. */
  shards: readonly ShardClient[] | undefined
  query: Query
  clientAddress: (incoming: IncomingMessage) => string
  isDraining: () => boolean
  /** Ends the server as SIGTERM does. */
  drain: () => void
}

type Watched = {
  watched: WatchedExecutor
  hot: HotConvos
  placement: Placement
  files: Map<string, StaticFile>
}

/** The operator console: what its page shows and does. */
export class OpsConsole {
  readonly gate: Gate
  readonly files: ReadonlyMap<string, StaticFile>
  readonly #parts: ConsoleParts
  readonly #placement: Placement
  readonly #hot: HotConvos
  readonly #watched: WatchedExecutor
  readonly #sampler: Sampler
  readonly #finder: ConvoFinder
  readonly #job: Scheduler
  /** Changes when the server starts again, so that a page notices. */
  readonly #life = randomUUID()
  readonly #startedAtMs = Date.now()

  private constructor(parts: ConsoleParts, token: string, { watched, hot, placement, files }: Watched) {
    const { config, log, clientAddress, query, shards = [] } = parts
    const isHttps = config.server.publicUrl?.startsWith('https:') ?? false
    this.#parts = parts
    this.#placement = placement
    this.#hot = hot
    this.#watched = watched
    this.files = files
    this.gate = new Gate({ token, clock: systemClock, log, isHttps, clientAddress })
    this.#sampler = new Sampler(shards, watched, systemClock)
    this.#finder = new ConvoFinder(query, placement, shards)
    this.#job = new Scheduler('console samples', SAMPLE_MS, log, () => this.#sampler.take())
  }

  /** Undefined without OPS_TOKEN: nothing is watched or kept then. */
  static async open(parts: ConsoleParts): Promise<OpsConsole | undefined> {
    const { token } = parts.config.ops
    if (token === undefined) return undefined
    const files = await readStaticFiles()
    const hot = new HotConvos(systemClock)
    const placement = new Placement(parts.config)
    const watched = new WatchedExecutor({ inner: parts.executor, clock: systemClock, placement, hot })
    return new OpsConsole(parts, token, { watched, hot, placement, files })
  }

  /** To be used in place of the executor that it was opened with. */
  get executor(): Executor {
    return this.#watched
  }

  /** @param after number of the last sample that the asker has, 0 for none */
  overview(after: number) {
    const { config, version, isDraining, shards } = this.#parts
    const { isEnabled, rolloutPercent } = config.actors
    return {
      life: this.#life,
      nowMs: Date.now(),
      startedAtMs: this.#startedAtMs,
      sampleMs: SAMPLE_MS,
      version,
      isDraining: isDraining(),
      actors: { isEnabled, rolloutPercent: isEnabled ? rolloutPercent : 0 },
      shards: (shards ?? []).map(({ shard, state, restarts }) => ({
        shard,
        state,
        restarts: restarts.length,
        figures: this.#sampler.latest[shard] ?? null,
      })),
      samples: this.#sampler.history.after(after),
      hot: this.#hot
        .top(TOP_CONVOS)
        .map((convo) => ({ ...convo, ...this.#placement.placeOf(convo.convoId) })),
      conflicts: this.#watched.conflicts.toReversed(),
      restarts: this.#restarts(),
    }
  }

  settings() {
    return { settings: settingsInForce(this.#parts.config) }
  }

  find(convoId: string): Promise<FoundConvo> {
    return this.#finder.find(convoId)
  }

  /** Undefined when the conversation has no actor by the roll-out; rejects when its shard does not answer. */
  async passivate(convoId: string): Promise<Passivation | undefined> {
    const { shard } = this.#placement.placeOf(convoId)
    if (shard === undefined) return undefined
    this.#parts.log.info({ convoId }, 'Operator console: passivation')
    return this.#parts.shards?.[shard]?.passivate(convoId)
  }

  /** Once its answer is out. */
  drain(): void {
    this.#parts.log.warn('Operator console: drain')
    setImmediate(this.#parts.drain)
  }

  stop(deadlineMs: number): Promise<void> {
    return this.#job.stop(deadlineMs)
  }

  /** The latest of all shards, newest first. */
  #restarts() {
    const all = (this.#parts.shards ?? []).flatMap(({ shard, restarts }) =>
      restarts.map((restart) => ({ shard, ...restart })),
    )
    return all.sort((a, b) => b.atMs - a.atMs).slice(0, MAX_RESTARTS)
  }
}

const MAX_RESTARTS = 50
