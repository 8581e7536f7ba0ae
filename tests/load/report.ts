import type { DeliveryReport } from './deliveries.ts'
import { describeHit, type LimitHit } from './limit-hits.ts'
import type { LoadPlan, LoadResult } from './load-run.ts'
import type { Bucket } from './log-buckets.ts'
import type { PaceReport } from './pace.ts'
import { type Second, sum, type Tally } from './tally.ts'

export type Latency = { p50: number; p95: number; p99: number; max: number }

/** What a run came to; `--json` prints it as it is. */
export type LoadReport = {
  url: string
  mode: string
  /** Undefined of a closed loop. */
  ratePerSecond: number | undefined
  arrivals: string | undefined
  concurrency: number
  conversations: number
  members: number
  seconds: number
  offered: number
  accepted: number
  /** Accepted requests per second. */
  throughput: number
  /** In ms from when a request was due, of all that were accepted or expectedly refused. */
  latencyMs: Latency
  operations: Record<string, number>
  /** Refusals that belong to this load, by name. */
  expectedRefusals: Record<string, number>
  /** By name. */
  errors: Record<string, number>
  /** Attempts that were made again, by what they came to. */
  repeated: Record<string, number>
  longestWithoutAnswerMs: number
  rateLimits: LimitHit[]
  generator: PaceReport | undefined
  deliveries: DeliveryReport | undefined
  notes: string[]
  histogram: Bucket[]
  timeline: Second[]
}

export type Setting = { url: string; conversations: number; members: number }

/** Above it latencies say more about the generator than about the server. */
const LATE_MS = 10

export function makeReport(setting: Setting, { mode, pace }: LoadPlan, result: LoadResult): LoadReport {
  const { tally, limits, deliveries, measuredMs } = result
  const accepted = sum(tally.accepted.values())
  const isOpen = pace.rate !== undefined
  return {
    ...setting,
    mode,
    ratePerSecond: pace.rate,
    arrivals: isOpen ? pace.arrivals : undefined,
    concurrency: pace.concurrency,
    seconds: measuredMs / 1000,
    offered: tally.offered,
    accepted,
    throughput: (accepted * 1000) / measuredMs,
    latencyMs: latencyOf(tally),
    operations: Object.fromEntries(tally.accepted),
    expectedRefusals: Object.fromEntries(tally.refused),
    errors: Object.fromEntries(tally.errors),
    repeated: Object.fromEntries(tally.repeated),
    longestWithoutAnswerMs: tally.silences(tally.startedMs + measuredMs).any,
    rateLimits: limits,
    generator: result.pace,
    deliveries,
    notes: [...limits.map(describeHit), ...paceNotes(result.pace, pace.concurrency)],
    histogram: tally.buckets.list(),
    timeline: tally.seconds,
  }
}

export function latencyOf({ latency }: Tally): Latency {
  const at = (percentile: number) => latency.getValueAtPercentile(percentile) / 1000
  return { p50: at(50), p95: at(95), p99: at(99), max: latency.maxValue / 1000 }
}

function paceNotes(pace: PaceReport | undefined, concurrency: number): string[] {
  if (!pace) return []
  const notes: string[] = []
  const { lateP99Ms, lateMaxMs, wasFull, unsent } = pace
  if (lateP99Ms > LATE_MS) {
    notes.push(
      `This generator did not keep its schedule: it sent up to ${lateMaxMs.toFixed(0)} ms late (p99 ` +
        `${lateP99Ms.toFixed(0)} ms). The latencies contain that: take less load, or another machine.`,
    )
  }
  if (wasFull) {
    notes.push(
      `As many requests as allowed were under way (${concurrency}, see --concurrency); others were sent late, and ` +
        'are measured from when they were due.',
    )
  }
  if (unsent > 0)
    notes.push(`${unsent} requests that were due were never sent (NotSent): the load was ended before.`)
  return notes
}
