import { DirectExecutor, type DirectExecutorOptions } from '@catbird/api/executors/direct-executor'
import type { Policy } from '@catbird/shard-worker/conversation/decision'
import { Shard } from '@catbird/shard-worker/engine/shard'
import type { ShardLimits } from '@catbird/shard-worker/engine/shard-options'
import type { Telemetry } from '@catbird/shard-worker/engine/telemetry'
import type { Clock } from '@catbird/shared/clock'
import type { Command, Reply } from '@catbird/shared/commands'
import type { FailurePlan } from './failure-plan.ts'
import type { Exchange } from './history.ts'
import { Random } from './random.ts'
import { Scheduler } from './scheduler.ts'
import { SimDatabase } from './sim-database.ts'
import { SimStore } from './sim-store.ts'
import type { SimKeyPackage } from './sim-tables.ts'

export const POLICY: Policy = { maxMembers: 6, messageEpochWindow: 0, messageTtlMs: 30 * 86_400_000 }

const LIMITS: ShardLimits = {
  mailboxCommands: 1000,
  mailboxBytes: 2 ** 20,
  maxResident: 2,
  idleMs: 1000,
  batchRows: 512,
  batchBytes: 2 ** 20,
}

/** What of a direct executor's surroundings matters here: that nothing fails unforeseen. */
const SILENT: Pick<DirectExecutorOptions, 'telemetry' | 'log'> = {
  telemetry: {
    commandDone: () => {},
    epochAdvanced: () => {},
  } as unknown as DirectExecutorOptions['telemetry'],
  log: {
    error: (details: { err: unknown }) => {
      throw details.err
    },
  } as unknown as DirectExecutorOptions['log'],
}

export type OwnerKind = 'actor' | 'direct'

export type WorldOptions = {
  owners: OwnerKind[]
  seed?: number
  failures?: FailurePlan
  policy?: Partial<Policy>
  limits?: Partial<ShardLimits>
  /** World time that each step takes. */
  msPerStep?: number
  /** How far the clock of each owner is off. */
  skewMs?: number[]
  keyPackages?: SimKeyPackage[]
}

export type Owner = {
  name: string
  store: SimStore
  clock: Clock
  shard?: Shard
  submit(command: Command): Promise<Reply>
  /** Logical time of the newest thing that it has learnt from the database. */
  seenAt: number
}

/** Several owners of the same conversations over one simulated database; all that happens follows from the seed. */
export class SimWorld {
  readonly scheduler: Scheduler
  readonly database = new SimDatabase()
  readonly owners: Owner[]
  readonly history: Exchange[] = []
  /** What the engine told its telemetry: restarts by reason, failed batches by failure, and so on. */
  readonly counts: Record<string, number> = {}
  readonly #options: WorldOptions
  readonly #random: Random
  #ids = 0

  constructor(options: WorldOptions) {
    this.#options = options
    this.scheduler = new Scheduler(options.msPerStep ?? 0)
    this.#random = new Random(options.seed ?? 0)
    this.database.keyPackages.push(...(options.keyPackages ?? []).map((row) => ({ ...row })))
    this.owners = options.owners.map((kind, i) => this.#createOwner(kind, i))
  }

  /** The actor engine of an owner. */
  shard(index: number): Shard {
    return this.owners[index]!.shard!
  }

  /** Gives a command to an owner and records what comes of it. */
  submit(index: number, command: Command): Promise<Reply> {
    const owner = this.owners[index]!
    const exchange: Exchange = { command, invokedAt: this.scheduler.time }
    this.history.push(exchange)
    return owner.submit(command).then((reply) => {
      exchange.reply = reply
      // Not when it arrived but the latest time that it can rest on: the strictest reading.
      exchange.repliedAt = Math.max(exchange.invokedAt, owner.seenAt)
      return reply
    })
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  #createOwner(kind: OwnerKind, index: number): Owner {
    const { database, scheduler } = this
    const { failures = () => undefined, skewMs = [] } = this.#options
    const policy = { ...POLICY, ...this.#options.policy }
    const name = 'abcdef'[index]!
    const clock = this.#clock(name, skewMs[index] ?? 0)
    const onSeen = (time: number) => {
      owner.seenAt = Math.max(owner.seenAt, time)
    }
    const store = new SimStore({ owner: name, database, scheduler, failures, clock, policy, onSeen })
    const newId = () => this.#newId()
    const base = { name, store, clock, seenAt: 0 }
    let owner: Owner
    if (kind === 'direct') {
      const direct = new DirectExecutor({ store, clock, newId, maxRunning: 4, queueLimit: 1000, ...SILENT })
      owner = { ...base, submit: (command) => direct.execute(command) }
    } else {
      const limits = { ...LIMITS, ...this.#options.limits }
      const random = () => this.#random.next()
      const shard = new Shard({ store, clock, newId, random, policy, limits, telemetry: this.#telemetry() })
      owner = { ...base, shard, submit: (command) => shard.submit(command) }
    }
    return owner
  }

  #clock(owner: string, skewMs: number): Clock {
    const { scheduler } = this
    return {
      now: () => scheduler.nowMs + skewMs,
      sleep: (ms) =>
        new Promise((resolve) => {
          const notBeforeMs = scheduler.nowMs + ms
          scheduler.add({ owner, action: 'timer', touches: 'nothing', run: resolve, notBeforeMs })
        }),
    }
  }

  /** A UUID like any other, but counted. */
  #newId(): string {
    return `00000000-0000-7000-8000-${String(++this.#ids).padStart(12, '0')}`
  }

  #telemetry(): Telemetry {
    const count = (what: string) => this.count(what)
    return {
      actorStarted: () => count('actor started'),
      actorStopped: (_convoId, reason) => count(`actor stopped: ${reason}`),
      actorRestarted: (_convoId, reason) => count(`actor restarted: ${reason}`),
      commandDropped: (_convoId, reason) => count(`command dropped: ${reason}`),
      commandDone: () => {},
      epochAdvanced: () => count('epoch advanced'),
      batchWritten: () => count('batch written'),
      batchFailed: (failure) => count(`batch failed: ${failure}`),
    }
  }
}
