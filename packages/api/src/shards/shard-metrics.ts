import type { ShardStatus } from '@catbird/shared/shard-protocol'
import type { FrontMetrics } from '../metrics.ts'
import type { ShardClient } from './shard-client.ts'

type Metrics = ShardStatus['metrics']

/**
 * Gathers the shards' metrics; a dead or blocked shard never breaks a scrape. No counter goes back: a blocked shard
 * stands with what it last told, and a life that is over with what it had counted.
 */
export class ShardMetrics {
  readonly #metrics: FrontMetrics
  readonly #convoLimit: number
  /** Counters and histograms of each shard's lives that are over: they go on counting from there. */
  readonly #retired = new Map<number, Metrics>()

  readonly #loops = new Map<number, ShardStatus['eventLoop']>()

  /** @param convoLimit conversations that have a mailbox metric of their own */
  constructor(metrics: FrontMetrics, convoLimit: number) {
    this.#metrics = metrics
    this.#convoLimit = convoLimit
  }

  /** Keeps what a life that is over has counted. */
  retire(shard: number, status: ShardStatus): void {
    const counts = status.metrics.filter(({ type }) => String(type) !== 'gauge')
    const before = this.#retired.get(shard)
    this.#retired.set(shard, before ? mergeCounts(before, counts) : counts)
  }

  async collect(shards: readonly ShardClient[]): Promise<Metrics[]> {
    await Promise.all(shards.map((shard) => this.#refresh(shard)))
    // In one go: a shard that died meanwhile is retired, and counts there alone. Always added in the same order,
    // since a sum that is smaller by its rounding looks like a restart to Prometheus.
    const all = shards.flatMap(({ shard, lastStatus }) => {
      const parts = [this.#retired.get(shard), lastStatus?.metrics].filter((part) => part !== undefined)
      return parts.length > 0 ? [parts.reduce(mergeCounts)] : []
    })
    return this.#withDeepest(all)
  }

  /** Of all mailboxes the deepest: each shard tells as many as there may be in all. */
  #withDeepest(all: Metrics[]): Metrics[] {
    const isDepth = ({ name }: Metrics[number]) => name === 'actor_mailbox_depth'
    const depths = all.flatMap((metrics) => metrics.filter(isDepth).flatMap(({ values }) => values))
    const deepest = new Set(depths.sort((a, b) => b.value - a.value).slice(0, this.#convoLimit))
    return all.map((metrics) =>
      metrics.map((metric) =>
        isDepth(metric) ? { ...metric, values: metric.values.filter((value) => deepest.has(value)) } : metric,
      ),
    )
  }

  /** Busy share of the time since the last scrape; since its start in the first scrape of a thread. */
  #utilization(shard: number, { eventLoop }: ShardStatus): number {
    const known = this.#loops.get(shard)
    this.#loops.set(shard, eventLoop)
    const isSameLife = known && known.activeMs <= eventLoop.activeMs && known.idleMs <= eventLoop.idleMs
    const activeMs = eventLoop.activeMs - (isSameLife ? known.activeMs : 0)
    const idleMs = eventLoop.idleMs - (isSameLife ? known.idleMs : 0)
    return activeMs / Math.max(activeMs + idleMs, 1)
  }

  async #refresh(shard: ShardClient): Promise<void> {
    const label = { shard: String(shard.shard) }
    const { shardUp, shardScrapeOk, shardUtilization, shardHeapUsed, shardHeapLimit } = this.#metrics
    try {
      const status = await shard.status()
      shardScrapeOk.set(label, 1)
      shardUtilization.set(label, this.#utilization(shard.shard, status))
      shardHeapUsed.set(label, status.heapUsedBytes)
      shardHeapLimit.set(label, status.heapLimitBytes)
    } catch {
      shardScrapeOk.set(label, 0)
    }
    shardUp.set(label, shard.state === 'up' ? 1 : 0)
  }
}

/** Adds the values of two lives, name by name and label by label. */
function mergeCounts(before: Metrics, after: Metrics): Metrics {
  const names = new Set([...before, ...after].map(({ name }) => name))
  return [...names].map((name) => {
    const [first, second] = [before, after].map((metrics) => metrics.find((metric) => metric.name === name))
    if (!first || !second) return (first ?? second)!
    const sums = new Map<string, (typeof first.values)[number]>()
    for (const value of [...first.values, ...second.values]) {
      const key = JSON.stringify([(value as { metricName?: string }).metricName, value.labels])
      const known = sums.get(key)
      sums.set(key, known ? { ...known, value: known.value + value.value } : { ...value })
    }
    return { ...first, values: [...sums.values()] }
  })
}
