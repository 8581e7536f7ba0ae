import { systemClock } from '@catbird/shared/clock'
import { RefusalError } from '@catbird/shared/errors'
import type { StreamParams } from '@catbird/shared/lexicon'
import { RenewablePool } from '@catbird/shared/renewable-pool'
import { openPool, type Pool } from '@catbird/shared/sql'
import pLimit from 'p-limit'
import type { Logger } from 'pino'
import type { Incarnation } from '../database/incarnation.ts'
import type { FrontMetrics } from '../metrics.ts'
import { requireReader } from '../queries/access.ts'
import { invalidCursor } from '../queries/cursor.ts'
import type { CloseReason, Connection } from './connection.ts'
import type { Ephemeral } from './ephemerals.ts'
import { errorFrame, type Form } from './frame.ts'
import { Hub } from './hub.ts'
import { waitingFrames } from './outbox.ts'
import type { Reader } from './read-memberships.ts'
import { isFuture, type StreamStart, startPosition } from './start-position.ts'
import { Stream } from './stream.ts'
import { type StreamPosition, writeStreamCursor } from './stream-cursor.ts'
import { Tailer } from './tailer.ts'

export type StreamsOptions = {
  /** The front's own connections. */
  pool: RenewablePool
  databaseUrl: string
  incarnation: Incarnation
  maxStreams: number
  messageTtlMs: number
  isBlocked: (did: string) => boolean
  metrics: FrontMetrics
  log: Logger
}

/** A stream that is asked for. */
export type StreamRequest = {
  did: string
  params: StreamParams
  form: Form
  requestId: string
  /** Unix ms: until then it is known whether the stream begins. */
  deadlineMs: number
}

/** One of the two is called, once. */
export type PreparedStream = {
  start(connection: Connection): void
  /** Nobody is there any more to read it. */
  abandon(): void
}

const MAX_STREAMS_PER_DID = 5
const HEARTBEAT_MS = 15_000
const SWEEP_MS = 1000
/** Queries for the past that run at once, each over a connection. */
const MAX_QUERIES = 3
/** What may wait for all readers together; the slowest are closed first. */
const MAX_WAITING_BYTES = 128 * 2 ** 20
const STATEMENT_TIMEOUT_MS = 5000
const QUERY_MS = 6000
const MAX_TRIES = 5
const PAUSE_MS = 200

const databaseSilent = () => new RefusalError('DatabaseUnavailable', 'the database did not answer in time')

/** All open streams of this process. */
export class Streams {
  readonly #options: StreamsOptions
  readonly #hub = new Hub()
  readonly #tail: RenewablePool
  readonly #past: RenewablePool
  readonly #tailer: Tailer
  readonly #open = new Map<Stream, { heartbeatAtMs: number }>()
  /** Prepared, and not begun. */
  readonly #waiting = new Set<Stream>()
  readonly #perDid = new Map<string, number>()
  readonly #turn = pLimit(MAX_QUERIES)
  readonly #sweep: NodeJS.Timeout
  /** Open ones and those that are about to be. */
  #count = 0
  #isStopping = false

  constructor(options: StreamsOptions) {
    const { databaseUrl, incarnation, log } = options
    this.#options = options
    const open = (name: string, max: number) =>
      new RenewablePool(() => openPool(databaseUrl, { max, name, statementTimeoutMs: STATEMENT_TIMEOUT_MS }))
    this.#tail = open('streams', 1)
    this.#past = open('streams past', MAX_QUERIES)
    this.#tailer = new Tailer({
      pool: this.#tail,
      incarnation: incarnation.incarnation,
      hub: this.#hub,
      log,
      timer: options.metrics.queries,
      cursorOf: this.#cursorOf,
    })
    this.#sweep = setInterval(() => this.#lookAfter(performance.now()), SWEEP_MS)
    options.metrics.observeStreams({
      active: () => this.#open.size,
      horizonLagS: () => this.#tailer.horizonLagS,
    })
  }

  /** Something was committed by this process. */
  poke(): void {
    if (this.#hub.size > 0) this.#tailer.poke()
  }

  /** Passes it to whoever is a member now: all changes before it have passed by then. */
  passEphemeral({ convoId, sender, ciphertext, epoch }: Ephemeral): void {
    if (this.#hub.size === 0) return
    const event = { type: 'ephemeralEvent', convoId, sender, ciphertext, epoch } as const
    this.#tailer.afterwards(() => this.#hub.passEphemeral(convoId, event))
  }

  /**
   * Prepares a stream: all that it could be refused for has been looked at when this resolves.
   *
   * @throws RefusalError InvalidCursor, ConvoNotFound, RateLimitExceeded, Overloaded, DatabaseUnavailable
   */
  async prepare(request: StreamRequest): Promise<PreparedStream> {
    const { did, params } = request
    const { incarnation, messageTtlMs, metrics } = this.#options
    const start = startPosition(params.cursor, incarnation, params.convoId, Date.now() - messageTtlMs)
    if (this.#isStopping) throw new RefusalError('ShuttingDown', 'the server is shutting down')
    this.#reserve(did)
    try {
      const { convoId } = params
      if (convoId !== undefined) {
        const ms = request.deadlineMs - Date.now()
        await metrics.queries.time('membership', () =>
          this.#options.pool.call((sql) => requireReader(sql, convoId, did), ms, databaseSilent),
        )
      }
      return await this.#attach(request, start)
    } catch (error) {
      this.#release(did)
      throw error
    }
  }

  /** Ends all streams, each with the cursor to go on from, and takes no more. */
  endAll(): void {
    this.#isStopping = true
    clearInterval(this.#sweep)
    for (const stream of this.#open.keys()) stream.end('shutdown')
  }

  /** Closes what was opened for streams, which have been ended. */
  async close(): Promise<void> {
    await this.#tailer.stop()
    await Promise.all([this.#tail.close(), this.#past.close()])
  }

  async #attach(
    { did, params, form, requestId, deadlineMs }: StreamRequest,
    start: StreamStart,
  ): Promise<PreparedStream> {
    const stream = this.#create({ did, convoId: params.convoId }, start, requestId)
    const abandon = () => {
      if (!this.#waiting.delete(stream)) return
      stream.abandon()
      this.#release(did)
    }
    try {
      const attached = await stream.attach(deadlineMs - Date.now())
      const future = start.position && isFuture(start.position, attached.nextId)
      if (future && form === 'sse') throw invalidCursor()
      this.#waiting.add(stream)
      const begin = (connection: Connection) => {
        if (!this.#waiting.delete(stream)) return connection.end()
        // Not all at once after many have come back together.
        this.#open.set(stream, { heartbeatAtMs: performance.now() + Math.random() * HEARTBEAT_MS })
        stream.start(connection, attached, start.isOutdated)
        if (this.#isStopping) stream.end('shutdown')
      }
      const refuse = (connection: Connection) => {
        abandon()
        connection.end(errorFrame('FutureCursor', 'the cursor lies in the future'))
      }
      return { start: future ? refuse : begin, abandon }
    } catch (error) {
      stream.abandon()
      throw error
    }
  }

  #create(reader: Reader, { position }: StreamStart, requestId: string): Stream {
    const { incarnation, metrics, log } = this.#options
    const stream: Stream = new Stream(
      {
        reader,
        incarnation: incarnation.incarnation,
        tailer: this.#tailer,
        query: (run) => this.#turn(() => this.#readPast(stream, run)),
        cursorOf: this.#cursorOf,
        onSent: (events) => metrics.streamEventsSent(events),
        onEnd: (reason) => this.#ended(stream, reason),
        onFault: (fault) => log.error({ err: fault, requestId }, 'A stream failed'),
      },
      position,
    )
    return stream
  }

  /** Tries again for a while: the database may only be starting anew. */
  async #readPast<T>(stream: Stream, run: (sql: Pool) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      // Whoever has left keeps nobody waiting.
      if (stream.isOver) throw new Error('the stream is over')
      try {
        return await this.#options.metrics.queries.time('stream_past', () =>
          this.#past.call(run, QUERY_MS, databaseSilent),
        )
      } catch (error) {
        if (tries === MAX_TRIES) throw error
        await systemClock.sleep(tries * PAUSE_MS)
      }
    }
  }

  #reserve(did: string): void {
    const own = this.#perDid.get(did) ?? 0
    if (own >= MAX_STREAMS_PER_DID) {
      throw new RefusalError('RateLimitExceeded', 'too many open streams of this caller', {
        limit: MAX_STREAMS_PER_DID,
      })
    }
    if (this.#count >= this.#options.maxStreams) {
      throw new RefusalError('Overloaded', 'too many streams are open')
    }
    this.#count++
    this.#perDid.set(did, own + 1)
  }

  #release(did: string): void {
    this.#count--
    const own = this.#perDid.get(did)! - 1
    if (own > 0) this.#perDid.set(did, own)
    else this.#perDid.delete(did)
  }

  #ended(stream: Stream, reason: CloseReason): void {
    if (!this.#open.delete(stream)) return
    this.#release(stream.reader.did)
    this.#options.metrics.streamClosed(reason)
  }

  #lookAfter(nowMs: number): void {
    for (const [stream, times] of this.#open) {
      if (this.#options.isBlocked(stream.reader.did)) stream.end('blocked')
      else if (stream.isStalled(nowMs)) stream.end('slow')
      else if (nowMs >= times.heartbeatAtMs) {
        times.heartbeatAtMs = nowMs + HEARTBEAT_MS
        stream.heartbeat()
      }
    }
    if (waitingFrames.bytes > MAX_WAITING_BYTES) this.#shed()
  }

  #shed(): void {
    let bytes = waitingFrames.bytes
    for (const stream of [...this.#open.keys()].sort((a, b) => b.backlog - a.backlog)) {
      if (bytes <= MAX_WAITING_BYTES || stream.backlog === 0) return
      bytes -= stream.backlog
      stream.end('slow')
    }
  }

  readonly #cursorOf = (position: StreamPosition, convoId: string | undefined): string => {
    return writeStreamCursor({ ...position, tag: this.#options.incarnation.tag, convoId })
  }
}
