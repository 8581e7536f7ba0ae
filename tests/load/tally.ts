import { build } from 'hdr-histogram-js'
import { LogBuckets } from './log-buckets.ts'
import { EXPECTED_REFUSALS, type Operation } from './operations.ts'
import { toMicroseconds } from './pace.ts'

/** One request, as its caller sees it. */
export type Done = {
  operation: Operation
  /** `ok`, or the error's name. */
  name: string
  /** When it was due and when its last answer came, in the time of performance.now(). */
  dueMs: number
  doneMs: number
}

/** A second of the run. Latencies in ms, undefined when nothing was answered. */
export type Second = {
  offered: number
  accepted: number
  refused: number
  errors: number
  p50: number | undefined
  p99: number | undefined
  max: number | undefined
}

/** How long nobody had an answer. */
class Silence {
  longestMs = 0
  #sinceMs: number

  constructor(nowMs: number) {
    this.#sinceMs = nowMs
  }

  broken(nowMs: number): void {
    this.longestMs = Math.max(this.longestMs, nowMs - this.#sinceMs)
    this.#sinceMs = Math.max(this.#sinceMs, nowMs)
  }

  /** Of an end, which nobody answers. */
  upTo(nowMs: number): number {
    return Math.max(this.longestMs, nowMs - this.#sinceMs)
  }
}

/** An error to its caller, and a sign of life. */
const RATE_LIMITED = 'RateLimitExceeded'
const WRITES: readonly Operation[] = ['send', 'commit', 'create']

/** Counts what callers saw. */
export class Tally {
  readonly latency = build()
  readonly buckets = new LogBuckets()
  readonly seconds: Second[] = []
  readonly accepted = new Map<Operation, number>()
  /** Expected refusals by name. */
  readonly refused = new Map<string, number>()
  readonly errors = new Map<string, number>()
  /** Attempts that were made again, by what they came to. */
  readonly repeated = new Map<string, number>()
  offered = 0
  readonly startedMs: number
  readonly #silence: Silence
  readonly #writeSilence: Silence
  #second = newSecond()
  readonly #secondLatency = build()

  constructor(nowMs = performance.now()) {
    this.startedMs = nowMs
    this.#silence = new Silence(nowMs)
    this.#writeSilence = new Silence(nowMs)
  }

  offer(): void {
    this.offered++
    this.#second.offered++
  }

  repeat(name: string): void {
    increment(this.repeated, name)
  }

  done({ operation, name, dueMs, doneMs }: Done): void {
    const isAccepted = name === 'ok'
    const isRefused = EXPECTED_REFUSALS.includes(name)
    this.#second[isAccepted ? 'accepted' : isRefused ? 'refused' : 'errors']++
    if (isAccepted) increment(this.accepted, operation)
    else increment(isRefused ? this.refused : this.errors, name)
    if (isAccepted || isRefused || name === RATE_LIMITED) this.#answered(operation, doneMs)
    if (!isAccepted && !isRefused) return
    const latency = toMicroseconds(doneMs - dueMs)
    this.latency.recordValue(latency)
    this.buckets.add(doneMs - dueMs)
    this.#secondLatency.recordValue(latency)
  }

  #answered(operation: Operation, doneMs: number): void {
    this.#silence.broken(doneMs)
    if (WRITES.includes(operation)) this.#writeSilence.broken(doneMs)
  }

  /** Errors that no single request has: requests that were never sent, streams that broke. */
  fail(name: string, count = 1): void {
    if (count > 0) increment(this.errors, name, count)
  }

  endSecond(): Second {
    const latency = this.#secondLatency
    const at = (percentile: number) => latency.getValueAtPercentile(percentile) / 1000
    const isSilent = latency.totalCount === 0
    const times = isSilent ? {} : { p50: at(50), p99: at(99), max: latency.maxValue / 1000 }
    const second = { ...this.#second, ...times }
    this.seconds.push(second)
    this.#second = newSecond()
    latency.reset()
    return second
  }

  /** Longest time without an answer, in ms: of anything, and of a write. */
  silences(nowMs = performance.now()): { any: number; writes: number } {
    return { any: this.#silence.upTo(nowMs), writes: this.#writeSilence.upTo(nowMs) }
  }
}

function newSecond(): Second {
  return { offered: 0, accepted: 0, refused: 0, errors: 0, p50: undefined, p99: undefined, max: undefined }
}

function increment<K>(counts: Map<K, number>, key: K, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by)
}

export function sum(counts: Iterable<number>): number {
  let total = 0
  for (const count of counts) total += count
  return total
}
