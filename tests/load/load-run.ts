import { Random } from '../engine/random.ts'
import { eventually } from '../support/eventually.ts'
import { type Arrivals, arrivalTimes } from './arrivals.ts'
import { Deliveries, type DeliveryReport } from './deliveries.ts'
import type { LimitHit } from './limit-hits.ts'
import type { LoadClient } from './load-client.ts'
import { MIXES, type Mode, type Outcome } from './operations.ts'
import { type PaceReport, runClosedLoop, runOpenLoop } from './pace.ts'
import { Readers } from './readers.ts'
import { Requests } from './requests.ts'
import { type Second, Tally } from './tally.ts'
import type { World } from './world.ts'

/** With a rate: an open loop. Without: a closed one. */
export type Pace = {
  /** Requests per second. */
  rate: number | undefined
  arrivals: Arrivals
  /** Most requests under way; in a closed loop always as many. */
  concurrency: number
}

export type LoadPlan = {
  mode: Mode
  pace: Pace
  /** Infinity: until told to stop. */
  durationMs: number
  /** For how long requests without a final answer are made again; 0: never. */
  retryForMs: number
}

export type LoadEvents = {
  onSecond?: (second: Second) => void
  observe?: (outcome: Outcome) => void
}

export type LoadResult = {
  tally: Tally
  /** Undefined of a closed loop, which keeps no schedule. */
  pace: PaceReport | undefined
  limits: LimitHit[]
  deliveries: DeliveryReport | undefined
  measuredMs: number
}

const SECOND_MS = 1000
const DELIVERY_MS = 5000
/** For what was due and could not be sent yet when the time is over: without it the slowest would be left out. */
const BACKLOG_MS = 10_000

/** Puts load on a server, once, and counts what callers see. */
export class LoadRun {
  readonly #client: LoadClient
  readonly #world: World
  readonly #plan: LoadPlan
  readonly #events: LoadEvents
  readonly #requests: Requests
  readonly #deliveries = new Deliveries()
  readonly #random = new Random(Date.now())
  #tally = new Tally()

  constructor(client: LoadClient, world: World, plan: LoadPlan, events: LoadEvents = {}) {
    this.#client = client
    this.#world = world
    this.#plan = plan
    this.#events = events
    const observe = (outcome: Outcome) => {
      this.#noteAcknowledgement(outcome)
      events.observe?.(outcome)
    }
    const { retryForMs } = plan
    this.#requests = new Requests({ client, world, retryForMs, observe, tally: () => this.#tally })
  }

  /** Ends one measurement and begins the next, without a pause in the load. */
  cut(): Tally {
    const tally = this.#tally
    this.#tally = new Tally()
    return tally
  }

  /** Resolves when the time is over, or the signal told so, and the last request has been answered. */
  async run(signal?: AbortSignal): Promise<LoadResult> {
    const lost = (name: string) => this.#tally.fail(name)
    const readers =
      this.#plan.mode === 'streams'
        ? await Readers.open(this.#client.url, this.#world, this.#deliveries, lost)
        : undefined
    const stop = new AbortController()
    const end = () => stop.abort()
    signal?.addEventListener('abort', end)
    if (signal?.aborted) end()
    const timer = this.#endsInTime(end)
    const ticks = setInterval(() => this.#endSecond(), SECOND_MS)
    this.cut()
    const startedMs = performance.now()
    try {
      const pace = await this.#load(stop.signal)
      const measuredMs = performance.now() - startedMs
      // The last tick may come a moment too late.
      if (measuredMs % SECOND_MS > SECOND_MS / 2) this.#endSecond()
      await this.#awaitDeliveries(readers)
      const deliveries = readers && this.#deliveries.report(readers.count)
      return { tally: this.#tally, pace, limits: this.#requests.limitHits.list(), deliveries, measuredMs }
    } finally {
      clearTimeout(timer)
      clearInterval(ticks)
      signal?.removeEventListener('abort', end)
      readers?.close()
    }
  }

  #endsInTime(end: () => void): NodeJS.Timeout | undefined {
    const { durationMs, pace } = this.#plan
    if (!Number.isFinite(durationMs)) return undefined
    return setTimeout(end, pace.rate === undefined ? durationMs : durationMs + BACKLOG_MS)
  }

  async #load(signal: AbortSignal): Promise<PaceReport | undefined> {
    const { pace, durationMs, mode } = this.#plan
    const { rate, arrivals, concurrency } = pace
    const fire = (dueMs: number) => {
      this.#tally.offer()
      return this.#requests.make(
        this.#random.weighted(MIXES[mode] as Record<keyof (typeof MIXES)[Mode], number>),
        dueMs,
      )
    }
    if (rate === undefined) {
      await runClosedLoop(concurrency, fire, signal)
      return undefined
    }
    const times = arrivalTimes(arrivals, rate, durationMs, () => this.#random.next())
    const report = await runOpenLoop({ arrivals: times, atOnce: concurrency, fire, signal })
    this.#tally.fail('NotSent', report.unsent)
    return report
  }

  async #awaitDeliveries(readers: Readers | undefined): Promise<void> {
    if (!readers) return
    // What has not come by then is told as missing.
    await eventually('all deliveries', () => this.#deliveries.missing === 0, DELIVERY_MS).catch(() => {})
  }

  #noteAcknowledgement({ verdict, convoId, seq, members }: Outcome): void {
    if (this.#plan.mode !== 'streams' || verdict !== 'accepted' || seq === undefined) return
    this.#deliveries.acknowledged(convoId, seq, members)
  }

  #endSecond(): void {
    const second = this.#tally.endSecond()
    this.#events.onSecond?.(second)
  }
}
