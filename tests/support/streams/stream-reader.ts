import { checkEvent, type StreamEvent } from './event-check.ts'
import { openSocket } from './socket-reader.ts'
import { openSse } from './sse-reader.ts'
import type { OpenOptions, StreamEnd, Transport } from './transport.ts'

export type ReaderKind = 'sse' | 'socket'

export type ReaderOptions = OpenOptions & {
  /** Whether to hold all events in memory; true unless told. */
  keep?: boolean
  /** Whether to hold each event against the lexicon, which costs more than to decode it; true unless told. */
  check?: boolean
  /** Called with every event as it comes, heartbeats too. What it throws ends the stream as invalid. */
  onEvent?: (event: StreamEvent) => void
}

type Match = (event: StreamEvent) => boolean
type Waiter = {
  match: Match
  resolve(event: StreamEvent): void
  reject(error: Error): void
  timer: NodeJS.Timeout
}

const OPEN = { sse: openSse, socket: openSocket }
const NEXT_MS = 10_000
/** Of the events that came, those that a failure names. */
const RECENT = 20

/**
 * Opens a stream and reads it strictly: whatever the server may not send ends it as `invalid`.
 *
 * @throws StreamRefused with status, headers and body
 */
export function openReader(kind: ReaderKind, options: ReaderOptions): Promise<StreamReader> {
  return StreamReader.open(kind, options)
}

/** One connection, the same for both transports. */
export class StreamReader {
  /** All events so far but heartbeats; empty with `keep: false`. */
  readonly events: StreamEvent[] = []
  /** How many came, without heartbeats. */
  count = 0
  pings = 0
  /** Of the newest event; before the first what the stream was opened with. */
  cursor: string | undefined
  readonly ended: Promise<StreamEnd>
  readonly #options: ReaderOptions
  readonly #waiters = new Set<Waiter>()
  readonly #recent: StreamEvent[] = []
  /** Index into `events` after the last one that `next` gave. */
  #position = 0
  #end: StreamEnd | undefined
  #transport: Transport | undefined

  private constructor(options: ReaderOptions, ended: Promise<StreamEnd>) {
    this.#options = options
    this.cursor = options.cursor ?? options.lastEventId
    this.ended = ended
  }

  static async open(kind: ReaderKind, options: ReaderOptions): Promise<StreamReader> {
    const { promise, resolve } = Promise.withResolvers<StreamEnd>()
    const reader = new StreamReader(options, promise)
    reader.#transport = await OPEN[kind](options, {
      onEvent: (event) => reader.#take(event),
      onPing: () => reader.pings++,
      onEnd: (end) => {
        reader.#stop(end)
        resolve(end)
      },
    })
    return reader
  }

  /**
   * The next event that matches, from the one on that followed the last found; those in between are passed over.
   * With `keep: false`, and for heartbeats, only events that come from now on. Rejects at the deadline, or when the
   * stream ends, with what had come.
   */
  next<E extends StreamEvent>(match: (event: StreamEvent) => event is E, timeoutMs?: number): Promise<E>
  next(match: Match, timeoutMs?: number): Promise<StreamEvent>
  next(match: Match, timeoutMs = NEXT_MS): Promise<StreamEvent> {
    for (let index = this.#position; index < this.events.length; index++) {
      if (!match(this.events[index]!)) continue
      this.#position = index + 1
      return Promise.resolve(this.events[index]!)
    }
    if (this.#end !== undefined) return Promise.reject(this.#failure('the stream has ended'))
    const { promise, resolve, reject } = Promise.withResolvers<StreamEvent>()
    const tooLate = () => this.#settle(waiter).reject(this.#failure(`no such event in ${timeoutMs} ms`))
    const waiter: Waiter = { match, resolve, reject, timer: setTimeout(tooLate, timeoutMs) }
    this.#waiters.add(waiter)
    return promise
  }

  /** The next infoEvent of this name. */
  until(info: string, timeoutMs?: number): Promise<StreamEvent> {
    return this.next((event) => event.type === 'infoEvent' && event.info === info, timeoutMs)
  }

  /** Takes nothing off the socket any more, as a reader that hangs. */
  pause(): void {
    this.#transport?.pause()
  }

  resume(): void {
    this.#transport?.resume()
  }

  /** Cuts the connection, and resolves when it is gone. */
  async close(): Promise<void> {
    this.#transport?.destroy()
    await this.ended
  }

  #take(raw: Record<string, unknown>): void {
    const event = this.#options.check === false ? (raw as StreamEvent) : checkEvent(raw)
    this.cursor = event.cursor
    this.#recent.push(event)
    if (this.#recent.length > RECENT) this.#recent.shift()
    const isHeartbeat = event.type === 'infoEvent' && event.info === 'heartbeat'
    if (!isHeartbeat) this.count++
    if (!isHeartbeat && this.#options.keep !== false) this.events.push(event)
    this.#options.onEvent?.(event)
    for (const waiter of this.#waiters) {
      if (!waiter.match(event)) continue
      this.#position = this.events.length
      this.#settle(waiter).resolve(event)
    }
  }

  #stop(end: StreamEnd): void {
    this.#end = end
    for (const waiter of this.#waiters) this.#settle(waiter).reject(this.#failure('the stream ended'))
  }

  #settle(waiter: Waiter): Waiter {
    clearTimeout(waiter.timer)
    this.#waiters.delete(waiter)
    return waiter
  }

  #failure(what: string): Error {
    const end = this.#end && ` (${Object.values(this.#end).map(textOf).join(' ')})`
    return new Error(`${what}${end ?? ''}; the last that came: ${this.#recent.map(nameOf).join(', ')}`)
  }
}

function textOf(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value ?? '')
}

function nameOf(event: StreamEvent): string {
  if (event.type === 'messageEvent') return `message ${event.message.seq}`
  if (event.type === 'membershipEvent') return `${event.action} ${event.seq}`
  return event.type === 'infoEvent' ? event.info : event.type
}
