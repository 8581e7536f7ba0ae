import { RefusalError } from '@catbird/shared/errors'
import type { QueryTimer } from '@catbird/shared/query-timer'
import type { RenewablePool } from '@catbird/shared/renewable-pool'
import type { Pool, Sql } from '@catbird/shared/sql'
import type { Logger } from 'pino'
import { Frame } from './frame.ts'
import type { Hub, Subscriber, ToFrame } from './hub.ts'
import type { LogRow } from './log-row.ts'
import { readMemberships } from './read-memberships.ts'
import { readBytes, readSnapshot, readTail, type SeenSnapshot, type TailKey } from './read-tail.ts'
import { below, horizonOf, type Snapshot } from './snapshot.ts'
import type { StreamPosition } from './stream-cursor.ts'

export type TailerOptions = {
  pool: RenewablePool
  incarnation: number
  hub: Hub
  log: Pick<Logger, 'warn'>
  timer: Pick<QueryTimer, 'time'>
  /** A cursor's text. */
  cursorOf: (position: StreamPosition, convoId: string | undefined) => string
}

/** Where a stream was attached: `atMs` is a time, Unix ms, that the snapshot is not older than. */
export type Attached = SeenSnapshot & { atMs: number }

type Attaching = {
  subscriber: Subscriber
  settle: { resolve(attached: Attached): void; reject(error: Error): void }
}

/** A step: what a snapshot shows beyond the one before, and the streams that are attached when all of it has passed. */
type Step = Attached & {
  after?: TailKey
  attaching: readonly Attaching[]
  /** Of each of these, as of the snapshot. */
  memberships: string[][]
  afterwards: (() => void)[]
}

/** What other processes commit is seen after this at most; what this one commits, at once. */
const POLL_MS = 100
const PAUSE_AFTER_FAILURE_MS = 250
/** Longer than the server's own deadline for a statement. */
const READ_MS = 6000
const PAGE_ROWS = 500
/** Streams that begin with one read. */
const MAX_ATTACHING = 200
/** What waits for a step to end; what comes beyond is not worth the wait. */
const MAX_AFTERWARDS = 1000

/**
 * Reads what is added to the log, once for all streams of this process, and passes it to the hub. Each step reads what a
 * new snapshot shows beyond the last one. A step that fails half way goes on where it was: no row passes twice. Without
 * streams nothing is read.
 */
export class Tailer {
  readonly #options: TailerOptions
  /** All that it shows has passed. */
  #passed: { snapshot: Snapshot; atMs: number } | undefined
  /** One that has not passed all its rows yet. */
  #step: Step | undefined
  #attaching: Attaching[] = []
  #afterwards: (() => void)[] = []
  #wake: (() => void) | undefined
  #isPoked = false
  #isStopping = false
  #horizon = { id: 0, sinceMs: 0 }
  readonly #running: Promise<void>

  constructor(options: TailerOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  /** What all attached streams have had; undefined while there are none. */
  get position(): StreamPosition | undefined {
    if (!this.#passed) return undefined
    const { snapshot, atMs } = this.#passed
    return { since: { kind: 'snapshot', snapshot }, atMs }
  }

  /** For how many seconds the oldest unfinished transaction has been holding the horizon, 0 when none is. */
  get horizonLagS(): number {
    const isHeld = this.#passed !== undefined && this.#passed.snapshot.xip.length > 0
    return isHeld ? (performance.now() - this.#horizon.sinceMs) / 1000 : 0
  }

  /** Lets a stream have every row that the snapshot, which this resolves with, does not show. */
  attach(subscriber: Subscriber): Promise<Attached> {
    if (this.#isStopping) return Promise.reject(shuttingDown())
    return new Promise((resolve, reject) => {
      this.#attaching.push({ subscriber, settle: { resolve, reject } })
      this.poke()
    })
  }

  /** No longer attaches, or lets go, a stream. */
  detach(subscriber: Subscriber): void {
    this.#attaching = this.#attaching.filter((one) => one.subscriber !== subscriber)
    this.#options.hub.detach(subscriber)
  }

  /** Calls back when everything has passed that had been committed before this call; perhaps never. */
  afterwards(then: () => void): void {
    if (this.#afterwards.length < MAX_AFTERWARDS) this.#afterwards.push(then)
    this.poke()
  }

  /** Something was committed: reads now rather than when its time comes. */
  poke(): void {
    this.#isPoked = true
    this.#wake?.()
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    this.poke()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      this.#isPoked = false
      if (this.#options.hub.size === 0 && this.#attaching.length === 0) {
        this.#passed = undefined
        this.#step = undefined
        this.#afterwards = []
        await this.#sleep(undefined)
        continue
      }
      try {
        await this.#goOn()
        if (!this.#step) await this.#sleep(POLL_MS)
      } catch (error) {
        this.#options.log.warn({ err: error }, 'Reading the log for streams failed')
        this.#isPoked = false
        await this.#sleep(PAUSE_AFTER_FAILURE_MS)
      }
    }
    for (const { settle } of this.#attaching) settle.reject(shuttingDown())
  }

  /** Until it is poked, at most so long. */
  async #sleep(ms: number | undefined): Promise<void> {
    if (this.#isPoked || this.#isStopping) return
    await new Promise<void>((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = undefined
  }

  /** Begins a step, or reads the next page of one. */
  async #goOn(): Promise<void> {
    const rows = this.#step ? await this.#readMore(this.#step) : await this.#begin()
    const step = this.#step!
    await this.#pass(rows, step)
    if (rows.length === PAGE_ROWS || this.#isStopping) return
    this.#noteHorizon(step.snapshot)
    this.#passed = step
    this.#step = undefined
    for (const [i, one] of step.attaching.entries()) {
      // It may have been given up meanwhile.
      if (!this.#attaching.includes(one)) continue
      this.#options.hub.attach(one.subscriber, step.memberships[i]!)
      one.settle.resolve(step)
    }
    this.#attaching = this.#attaching.filter((one) => !step.attaching.includes(one))
    for (const then of step.afterwards) then()
  }

  async #begin(): Promise<LogRow[]> {
    const { incarnation } = this.#options
    const since = this.#passed?.snapshot
    const attaching = this.#attaching.slice(0, MAX_ATTACHING)
    const afterwards = [...this.#afterwards]
    const atMs = Date.now()
    const readAll = async (sql: Sql) => ({
      ...(since
        ? await readTail(sql, { incarnation, since, limit: PAGE_ROWS })
        : { ...(await readSnapshot(sql, incarnation)), rows: [] }),
      memberships: await readMembershipsOf(sql, attaching),
    })
    // One statement sees one snapshot; for more than one it takes a transaction.
    const { rows, ...seen } = await this.#call((sql) =>
      attaching.length === 0
        ? readAll(sql)
        : (sql.begin('isolation level repeatable read read only', readAll) as ReturnType<typeof readAll>),
    )
    this.#step = { ...seen, atMs, attaching, afterwards }
    this.#afterwards = this.#afterwards.slice(afterwards.length)
    return rows
  }

  async #readMore({ snapshot, after }: Step): Promise<LogRow[]> {
    const since = this.#passed!.snapshot
    const page = { incarnation: this.#options.incarnation, since, until: snapshot, after, limit: PAGE_ROWS }
    return (await this.#call((sql) => readTail(sql, page))).rows
  }

  #call<T>(run: (sql: Pool) => Promise<T>): Promise<T> {
    const { pool, timer } = this.#options
    const late = () => new Error('the database did not answer in time')
    return timer.time('stream_tail', () => pool.call(run, READ_MS, late))
  }

  async #pass(rows: readonly LogRow[], step: Step): Promise<void> {
    const { hub } = this.#options
    for (const row of rows) {
      if (this.#isStopping) return
      if (row.size > 0 && !row.bytes && hub.wants(row)) {
        hub.flush()
        row.bytes = await this.#call((sql) => readBytes(sql, row))
      }
      // A row whose bytes are gone has been erased since.
      if (row.size === 0 || row.bytes || !hub.wants(row)) hub.pass(row, this.#framerOf(row, step))
      step.after = row
    }
    hub.flush()
  }

  /** What whoever has had this row, and all rows that passed before it, has had. */
  #framerOf({ convoId, n, seq, pos }: LogRow, step: Step): ToFrame {
    const before = this.#passed!
    const snapshot = pos >= before.snapshot.xmax ? below(pos, step.snapshot) : before.snapshot
    return (event, isLast) => {
      const place = { convoId, n: isLast ? n : n - 1, seq }
      const position: StreamPosition = { since: { kind: 'snapshot', snapshot }, atMs: before.atMs, place }
      return new Frame(event, (scope) =>
        this.#options.cursorOf(position, scope === 'one' ? convoId : undefined),
      )
    }
  }

  #noteHorizon(snapshot: Snapshot): void {
    const id = horizonOf(snapshot)
    if (id !== this.#horizon.id) this.#horizon = { id, sinceMs: performance.now() }
  }
}

async function readMembershipsOf(sql: Sql, attaching: readonly Attaching[]): Promise<string[][]> {
  if (attaching.length === 0) return []
  return readMemberships(
    sql,
    attaching.map(({ subscriber }) => subscriber.reader),
  )
}

function shuttingDown(): RefusalError {
  return new RefusalError('ShuttingDown', 'the server is shutting down')
}
