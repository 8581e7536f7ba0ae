import { getHeapStatistics, type HeapInfo } from 'node:v8'
import type { RenewablePool } from '@catbird/shared/renewable-pool'
import { withDeadline } from '@catbird/shared/sql'
import type { ShardClient } from './shards/shard-client.ts'

export type HealthState = 'healthy' | 'degraded' | 'unhealthy'

type ShardHealth = { shard: number; status: HealthState; active_actors?: number; mailbox_depth?: number }
type ActorsHealth = { status: HealthState; active_actors: number; shards: ShardHealth[] }

export type HealthReport = {
  status: HealthState
  timestamp: number
  version: string
  checks: { database: HealthState; memory: HealthState; actors?: ActorsHealth }
}

export type ReadinessReport = { ready: boolean; checks: { database: boolean; actors?: boolean } }

type Heap = Pick<HeapInfo, 'used_heap_size' | 'heap_size_limit'>
type WatchedShard = Pick<ShardClient, 'shard' | 'state' | 'status'>

export type HealthOptions = {
  pool: Pick<RenewablePool, 'call'>
  shards: readonly WatchedShard[] | undefined
  version: string
  isDraining: () => boolean
  /** Of this thread; the engine's if not told. */
  heap?: () => Heap
}

/** Every answer comes within a second, whatever hangs. */
const CHECK_MS = 800
/** A database this slow cannot keep up with chat. */
const SLOW_DATABASE_MS = 250
const SILENT_DATABASE_MS = 4000
const HEAP = { degraded: 0.85, unhealthy: 0.95 }

/** Looks at what the server rests on; every state has a cause that was observed. */
export class Health {
  readonly #options: HealthOptions
  #asking: Promise<void> | undefined

  constructor(options: HealthOptions) {
    this.#options = options
  }

  async report(): Promise<HealthReport> {
    const [database, actors] = await Promise.all([this.#database(), this.#actors()])
    const memory = memoryState((this.#options.heap ?? getHeapStatistics)())
    const states = [database, memory, ...(actors ? [actors.status] : [])]
    return {
      status: worst(states),
      timestamp: Math.floor(Date.now() / 1000),
      version: this.#options.version,
      checks: { database, memory, ...(actors && { actors }) },
    }
  }

  async readiness(): Promise<ReadinessReport> {
    const { shards, isDraining } = this.#options
    const database = (await this.#database()) !== 'unhealthy'
    const actors = shards?.every(({ state }) => state === 'up')
    const ready = database && actors !== false && !isDraining()
    return { ready, checks: { database, ...(actors !== undefined && { actors }) } }
  }

  /** Asks the database whether it is there; all who ask at once share one question. Gives silent connections up. */
  pulse(): Promise<void> {
    this.#asking ??= this.#options.pool
      .call(
        (sql) => sql`select 1`.then(() => {}),
        SILENT_DATABASE_MS,
        () => new Error('the database is silent'),
      )
      .finally(() => {
        this.#asking = undefined
      })
    return this.#asking
  }

  async #database(): Promise<HealthState> {
    const startedMs = performance.now()
    try {
      await withDeadline(this.pulse(), CHECK_MS, () => new Error('deadline'))
    } catch {
      return 'unhealthy'
    }
    return performance.now() - startedMs > SLOW_DATABASE_MS ? 'degraded' : 'healthy'
  }

  async #actors(): Promise<ActorsHealth | undefined> {
    const { shards } = this.#options
    if (!shards) return undefined
    const checked = await Promise.all(shards.map(checkShard))
    const down = checked.filter(({ status }) => status === 'unhealthy').length
    return {
      status: down === 0 ? 'healthy' : down < checked.length ? 'degraded' : 'unhealthy',
      active_actors: checked.reduce((sum, shard) => sum + (shard.active_actors ?? 0), 0),
      shards: checked,
    }
  }
}

async function checkShard(client: WatchedShard): Promise<ShardHealth> {
  const { shard } = client
  try {
    const status = await withDeadline(client.status(), CHECK_MS, () => new Error('deadline'))
    const { activeActors, mailboxDepth, heapUsedBytes, heapLimitBytes } = status
    const isFull = heapUsedBytes > HEAP.degraded * heapLimitBytes
    return {
      shard,
      status: isFull ? 'degraded' : 'healthy',
      active_actors: activeActors,
      mailbox_depth: mailboxDepth,
    }
  } catch {
    return { shard, status: 'unhealthy' }
  }
}

function memoryState({ used_heap_size, heap_size_limit }: Heap): HealthState {
  const share = used_heap_size / heap_size_limit
  return share > HEAP.unhealthy ? 'unhealthy' : share > HEAP.degraded ? 'degraded' : 'healthy'
}

function worst(states: HealthState[]): HealthState {
  if (states.includes('unhealthy')) return 'unhealthy'
  return states.includes('degraded') ? 'degraded' : 'healthy'
}
