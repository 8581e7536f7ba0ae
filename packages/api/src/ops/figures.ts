import type { ShardSample } from '@catbird/shared/shard-protocol'

/** What is charted of each shard. */
export const FIGURES = [
  'utilization',
  'commandsPerS',
  'mailbox',
  'actors',
  'batchRows',
  'batchMs',
  'heap',
] as const
export type Figure = (typeof FIGURES)[number]

/** Of one shard since its last sample; null where there was nothing to divide. */
export type ShardFigures = Record<Figure, number | null> & {
  deepestMailbox: number
  /** The bound of the slowest batch's bucket; null when there was no batch, or it was slower than all bounds. */
  batchAtMostMs: number | null
  heapUsedBytes: number
  heapLimitBytes: number
}

/** @param before the sample before of the same shard, when there is one; another life of the thread counts anew */
export function figuresOf(
  before: ShardSample | undefined,
  now: ShardSample,
  elapsedMs: number,
): ShardFigures {
  const since = before && isSameLife(before, now) ? before : undefined
  const activeMs = now.eventLoop.activeMs - (since?.eventLoop.activeMs ?? 0)
  const idleMs = now.eventLoop.idleMs - (since?.eventLoop.idleMs ?? 0)
  const batches = now.batches.count - (since?.batches.count ?? 0)
  const rows = now.batches.rows - (since?.batches.rows ?? 0)
  const seconds = now.batches.seconds - (since?.batches.seconds ?? 0)
  const commands = now.commands - (since?.commands ?? 0)
  return {
    utilization: round(activeMs / Math.max(1, activeMs + idleMs)),
    // Of a thread that is new nobody knows for how long it has counted.
    commandsPerS: since ? round((commands * 1000) / Math.max(1, elapsedMs)) : null,
    mailbox: now.mailboxDepth,
    actors: now.activeActors,
    batchRows: batches > 0 ? round(rows / batches) : null,
    batchMs: batches > 0 ? round((seconds * 1000) / batches) : null,
    heap: round(now.heapUsedBytes / now.heapLimitBytes),
    deepestMailbox: now.deepestMailbox,
    batchAtMostMs: batches > 0 ? slowest(since, now, batches) : null,
    heapUsedBytes: now.heapUsedBytes,
    heapLimitBytes: now.heapLimitBytes,
  }
}

function isSameLife(before: ShardSample, now: ShardSample): boolean {
  const pairs = [
    [before.eventLoop.activeMs, now.eventLoop.activeMs],
    [before.eventLoop.idleMs, now.eventLoop.idleMs],
    [before.commands, now.commands],
    [before.batches.count, now.batches.count],
  ] as const
  return pairs.every(([then, since]) => then <= since)
}

function slowest(since: ShardSample | undefined, now: ShardSample, batches: number): number | null {
  const bound = now.batches.within.find(
    ({ count }, i) => count - (since?.batches.within[i]?.count ?? 0) >= batches,
  )
  return bound ? bound.seconds * 1000 : null
}

/** Three digits are as many as a chart shows. */
export function round(value: number): number {
  return Number(value.toPrecision(3))
}
