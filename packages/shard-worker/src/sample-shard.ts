import { getHeapStatistics } from 'node:v8'
import type { ActorReport, ShardSample } from '@catbird/shared/shard-protocol'
import type { MetricValueWithName, Registry } from 'prom-client'
import type { Actor } from './engine/actor.ts'

type Value = MetricValueWithName<string>

/** A shard at this moment; counts come from its metrics. */
export async function sampleShard(actors: Iterable<Actor>, registry: Registry): Promise<ShardSample> {
  const [durations, rows, commands] = await Promise.all(
    ['group_commit_duration_seconds', 'group_commit_rows', 'actor_message_duration_seconds'].map((name) =>
      valuesOf(registry, name),
    ),
  )
  const heap = getHeapStatistics()
  const { active, idle } = performance.eventLoopUtilization()
  return {
    ...sizesOf(actors),
    eventLoop: { activeMs: active, idleMs: idle },
    heapUsedBytes: heap.used_heap_size,
    heapLimitBytes: heap.heap_size_limit,
    commands: sum(commands!, '_count'),
    batches: {
      count: sum(durations!, '_count'),
      rows: sum(rows!, '_sum'),
      seconds: sum(durations!, '_sum'),
      within: durations!
        .filter(({ metricName }) => metricName?.endsWith('_bucket'))
        .map(({ labels, value }) => ({ seconds: Number(labels.le), count: value }))
        .filter(({ seconds }) => Number.isFinite(seconds)),
    },
  }
}

/** What a shard knows of a conversation: nothing that it says or who is in it. */
export function describeActor(actor: Actor | undefined): ActorReport {
  return {
    isResident: actor !== undefined,
    mailboxDepth: actor?.depth ?? 0,
    mailboxBytes: actor?.mailboxBytes ?? 0,
    unsettledUnits: actor?.unsettledUnits ?? 0,
    isBlocked: actor?.isBlocked ?? false,
    lastActiveMs: actor?.lastActiveMs,
    lastBatch: actor?.lastBatch,
  }
}

function sizesOf(actors: Iterable<Actor>) {
  const sizes = { activeActors: 0, mailboxDepth: 0, deepestMailbox: 0 }
  for (const { depth } of actors) {
    sizes.activeActors++
    sizes.mailboxDepth += depth
    sizes.deepestMailbox = Math.max(sizes.deepestMailbox, depth)
  }
  return sizes
}

async function valuesOf(registry: Registry, name: string): Promise<Value[]> {
  const metric = await registry.getSingleMetric(name)?.get()
  return (metric?.values ?? []) as Value[]
}

function sum(values: Value[], ending: string): number {
  return values.reduce((all, { metricName, value }) => all + (metricName?.endsWith(ending) ? value : 0), 0)
}
