import { build } from 'hdr-histogram-js'
import { toMicroseconds } from './pace.ts'

export type DeliveryReport = {
  streams: number
  /** Events that readers should have had, and those of them that never came. */
  expected: number
  missing: number
  /** From the acknowledgement at the sender to the event at a reader, in ms; one that came before it counts as 0. */
  p50: number
  p95: number
  p99: number
  max: number
}

type Waiting = { acknowledgedMs: number | undefined; arrivedMs: number[]; readers: number }

/** Of messages without an acknowledgement events come as well; more than so many are forgotten, the oldest first. */
const MAX_WAITING = 100_000

/** Matches acknowledgements with the events of the same entries. */
export class Deliveries {
  readonly #histogram = build()
  readonly #waiting = new Map<string, Waiting>()
  #expected = 0

  /** An entry was acknowledged whose conversation has so many readers. */
  acknowledged(convoId: string, seq: number, readers: number, nowMs = performance.now()): void {
    this.#expected += readers
    this.#settle(convoId, seq, (waiting) => {
      waiting.acknowledgedMs = nowMs
      waiting.readers = readers
    })
  }

  /** An entry came to one of its readers, for the first time. */
  arrived(convoId: string, seq: number, nowMs = performance.now()): void {
    this.#settle(convoId, seq, (waiting) => waiting.arrivedMs.push(nowMs))
  }

  get missing(): number {
    return this.#expected - this.#histogram.totalCount
  }

  report(streams: number): DeliveryReport {
    const at = (percentile: number) => this.#histogram.getValueAtPercentile(percentile) / 1000
    const max = this.#histogram.maxValue / 1000
    return {
      streams,
      expected: this.#expected,
      missing: this.missing,
      p50: at(50),
      p95: at(95),
      p99: at(99),
      max,
    }
  }

  #settle(convoId: string, seq: number, change: (waiting: Waiting) => void): void {
    const key = `${convoId} ${seq}`
    const waiting = this.#waiting.get(key) ?? this.#add(key)
    change(waiting)
    const { acknowledgedMs, arrivedMs, readers } = waiting
    if (acknowledgedMs === undefined) return
    for (const ms of arrivedMs.splice(0)) {
      this.#histogram.recordValue(toMicroseconds(ms - acknowledgedMs))
      waiting.readers--
    }
    if (readers > 0 && waiting.readers <= 0) this.#waiting.delete(key)
  }

  #add(key: string): Waiting {
    const waiting: Waiting = { acknowledgedMs: undefined, arrivedMs: [], readers: 0 }
    this.#waiting.set(key, waiting)
    const [oldest] = this.#waiting.keys()
    if (this.#waiting.size > MAX_WAITING && oldest !== undefined) this.#waiting.delete(oldest)
    return waiting
  }
}
