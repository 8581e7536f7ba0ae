import { getHeapStatistics } from 'node:v8'
import { integrityCounter } from '@catbird/shared/integrity-counter'
import { QueryTimer } from '@catbird/shared/query-timer'
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { RULES } from './audit/report.ts'
import type { AuthFailure } from './auth/auth-error.ts'
import { CLOSE_REASONS, type CloseReason } from './events/connection.ts'
import { RESTART_REASONS, type RestartReason } from './shards/restart-reason.ts'

/** What the audit looks at, and what the log's unique indexes refuse. */
const INTEGRITY_RULES = [...RULES, 'unique_index']

/** Connections that are used, and work that waits for one. */
export type PoolLoad = { inUse: number; waiting: number }

export type FrontMetricsOptions = { rolloutPercent: number; isReady: () => boolean | Promise<boolean> }

/** The front's own metrics; those of the shards are merged with them at each scrape. */
export class FrontMetrics {
  readonly registry = new Registry()
  readonly queries = new QueryTimer(this.registry)
  readonly integrityViolations = integrityCounter(this.registry, INTEGRITY_RULES)
  readonly shardUp: Gauge<'shard'>
  readonly shardScrapeOk: Gauge<'shard'>
  readonly shardUtilization: Gauge<'shard'>
  readonly shardHeapUsed: Gauge<'shard'>
  readonly shardHeapLimit: Gauge<'shard'>
  readonly #shardRestarts: Counter<'shard' | 'reason'>
  readonly #requests: Counter<'method' | 'status'>
  readonly #errors: Counter<'method' | 'error'>
  readonly #duration: Histogram<'method'>
  readonly #authFailures: Counter<'reason'>
  readonly #rateLimitDrops: Counter<'endpoint'>
  readonly #keyPackageClaims: Counter<'outcome'>
  readonly #streamEvents: Counter
  readonly #streamCloses: Counter<'reason'>
  readonly #auditCompleted: Gauge
  readonly #poolMax: Gauge<'pool'>
  readonly #pools = new Map<string, () => PoolLoad>()

  constructor({ rolloutPercent, isReady }: FrontMetricsOptions) {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry })
    this.#requests = new Counter({
      name: 'http_requests_total',
      help: 'XRPC requests answered.',
      labelNames: ['method', 'status'],
      registers,
    })
    this.#errors = new Counter({
      name: 'http_errors_total',
      help: 'XRPC requests refused or failed, by error name.',
      labelNames: ['method', 'error'],
      registers,
    })
    this.#duration = new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Time from the head of an XRPC request to its answer.',
      labelNames: ['method'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    })
    this.#authFailures = new Counter({
      name: 'auth_failures_total',
      help: 'Requests whose sender did not prove who it is.',
      labelNames: ['reason'],
      registers,
    })
    this.#rateLimitDrops = new Counter({
      name: 'rate_limit_drops_total',
      help: 'Requests refused because their sender had used its share.',
      labelNames: ['endpoint'],
      registers,
    })
    this.#keyPackageClaims = new Counter({
      name: 'key_package_claims_total',
      help: 'DIDs for which a key package was asked for: claimed, or missing.',
      labelNames: ['outcome'],
      registers,
    })
    this.#streamEvents = new Counter({
      name: 'stream_events_sent_total',
      help: 'Events handed to the connections of streams, those about the stream itself included.',
      registers,
    })
    this.#streamCloses = new Counter({
      name: 'stream_closes_total',
      help: 'Streams that ended, by reason.',
      labelNames: ['reason'],
      registers,
    })
    this.#auditCompleted = new Gauge({
      name: 'audit_completed_timestamp_seconds',
      help: 'When this server last completed an audit of what has changed, Unix time; 0 before the first.',
      registers,
    })
    this.#poolMax = new Gauge({
      name: 'database_pool_max',
      help: 'Connections that a pool may open.',
      labelNames: ['pool'],
      registers,
    })
    this.#observePools('database_pool_in_use', 'Connections in use.', ({ inUse }) => inUse)
    this.#observePools(
      'database_pool_waiting',
      'Queries that wait for a connection.',
      ({ waiting }) => waiting,
    )
    const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames: ['shard'], registers })
    this.shardUp = gauge('shard_up', '1 while the shard takes commands.')
    this.shardScrapeOk = gauge('shard_scrape_ok', '1 when the shard answered this scrape.')
    this.shardUtilization = gauge(
      'shard_event_loop_utilization',
      'Share of the time since the last scrape that the shard was busy.',
    )
    this.shardHeapUsed = gauge('shard_heap_used_bytes', 'JavaScript heap in use by the shard.')
    this.shardHeapLimit = gauge('shard_heap_limit_bytes', 'Most heap that the shard may use.')
    this.#shardRestarts = new Counter({
      name: 'shard_restarts_total',
      help: 'Times that a shard was started again, by reason.',
      labelNames: ['shard', 'reason'],
      registers,
    })
    new Gauge({
      name: 'actor_rollout_percent',
      help: 'Share of conversations whose commands go through actors; 0 when the actor system is off.',
      registers,
    }).set(rolloutPercent)
    new Gauge({
      name: 'server_ready',
      help: '1 while the server is ready for requests.',
      registers,
      async collect() {
        this.set((await isReady()) ? 1 : 0)
      },
    })
    new Gauge({
      name: 'nodejs_heap_size_limit_bytes',
      help: 'Most heap that the main thread may use.',
      registers,
    }).set(getHeapStatistics().heap_size_limit)
    // There from the start: what is counted from nothing shows no increase.
    for (const reason of CLOSE_REASONS) this.#streamCloses.inc({ reason }, 0)
    for (const outcome of ['claimed', 'missing']) this.#keyPackageClaims.inc({ outcome }, 0)
  }

  requestDone(method: string, status: number, error: string | undefined, seconds: number): void {
    this.#requests.inc({ method, status: String(status) })
    if (error) this.#errors.inc({ method, error })
    this.#duration.observe({ method }, seconds)
  }

  /** Makes its counters appear. */
  shardExpected(shard: number): void {
    for (const reason of RESTART_REASONS) this.#shardRestarts.inc({ shard: String(shard), reason }, 0)
  }

  /** @param atMs Unix ms */
  auditCompleted(atMs: number): void {
    this.#auditCompleted.set(atMs / 1000)
  }

  shardRestarted(shard: number, reason: RestartReason): void {
    this.#shardRestarts.inc({ shard: String(shard), reason })
  }

  authFailed(reason: AuthFailure): void {
    this.#authFailures.inc({ reason })
  }

  rateLimited(endpoint: string): void {
    this.#rateLimitDrops.inc({ endpoint })
  }

  keyPackagesClaimed(outcome: 'claimed' | 'missing', count: number): void {
    this.#keyPackageClaims.inc({ outcome }, count)
  }

  /** Adds what is asked at each scrape. */
  observeStreams({ active, horizonLagS }: { active: () => number; horizonLagS: () => number }): void {
    const registers = [this.registry]
    new Gauge({
      name: 'active_streams',
      help: 'Streams that are open.',
      registers,
      collect() {
        this.set(active())
      },
    })
    new Gauge({
      name: 'stream_horizon_lag_seconds',
      help: 'For how long the oldest unfinished transaction of the database has been seen; cursors must name it.',
      registers,
      collect() {
        this.set(horizonLagS())
      },
    })
  }

  /** Adds what is asked of a pool of connections at each scrape. */
  observePool(pool: string, max: number, load: () => PoolLoad): void {
    this.#poolMax.set({ pool }, max)
    this.#pools.set(pool, load)
  }

  streamEventsSent(events: number): void {
    this.#streamEvents.inc(events)
  }

  streamClosed(reason: CloseReason): void {
    this.#streamCloses.inc({ reason })
  }

  #observePools(name: string, help: string, read: (load: PoolLoad) => number): void {
    const pools = this.#pools
    new Gauge({
      name,
      help,
      labelNames: ['pool'],
      registers: [this.registry],
      collect() {
        for (const [pool, load] of pools) this.set({ pool }, read(load()))
      },
    })
  }

  /** Prometheus text of the front and the given shards together. */
  async render(shards: readonly object[][]): Promise<string> {
    const all = [await this.registry.getMetricsAsJSON(), ...shards]
    return AggregatorRegistry.aggregate(all as never).metrics()
  }
}
