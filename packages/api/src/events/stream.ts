import { RefusalError } from '@catbird/shared/errors'
import { type Pool, withDeadline } from '@catbird/shared/sql'
import { backfill } from './backfill.ts'
import type { CloseReason, Connection } from './connection.ts'
import { errorFrame, Frame, type Scope } from './frame.ts'
import type { Subscriber } from './hub.ts'
import type { LogRow } from './log-row.ts'
import type { Reader } from './read-memberships.ts'
import { eventsOf, isFor } from './row-events.ts'
import type { StreamPosition } from './stream-cursor.ts'
import type { Info, StreamEvent } from './stream-event.ts'
import type { Attached, Tailer } from './tailer.ts'

export type StreamOptions = {
  reader: Reader
  incarnation: number
  tailer: Pick<Tailer, 'attach' | 'detach' | 'position'>
  query: <T>(run: (sql: Pool) => Promise<T>) => Promise<T>
  cursorOf: (position: StreamPosition, convoId: string | undefined) => string
  onSent: (events: number) => void
  /** Once, when it is over. */
  onEnd: (reason: CloseReason) => void
  onFault: (fault: unknown) => void
}

/** What may wait for a reader, behind the event that is on its way, before it is closed as slow. */
const MAX_WAITING_BYTES = 2 ** 20
/** What is held of the present for a reader that still reads the past. */
const MAX_HELD_BYTES = 256 * 1024
/** While it reads the past, more is read when no more than this waits. */
const LOW_BACKLOG_BYTES = 64 * 1024
/** A reader that takes nothing at all for so long is gone. */
const STALL_MS = 30_000
/** For coming back from the past. */
const ATTACH_MS = 8000
/** What an event takes beside its bytes, about. */
const EVENT_BYTES = 512

/**
 * One reader's stream: first what it has not had (the past), then what happens (live). It is attached to the hub before
 * the past is read, which ends exactly where the hub's events begin; those are held until then. When too many are held
 * they are dropped, and the past goes on up to a later end.
 */
export class Stream implements Subscriber {
  readonly reader: Reader
  readonly #options: StreamOptions
  readonly #scope: Scope
  #connection: Connection | undefined
  /** Live events that came while the past is being sent; undefined when live. */
  #held: { frames: Frame[]; bytes: number; isTooMuch: boolean } | undefined = newHeld()
  #ready: Frame[] = []
  /** Where the past begins; undefined: there is none to be sent. */
  #start: StreamPosition | undefined
  /** Of the newest event that was sent. */
  #cursor: string | undefined
  #sentBytes = 0
  #progress = { taken: 0, atMs: performance.now() }
  #isOver = false

  /** @param start what the reader has had; undefined: everything up to now */
  constructor(options: StreamOptions, start: StreamPosition | undefined) {
    this.#options = options
    this.reader = options.reader
    this.#scope = options.reader.convoId === undefined ? 'all' : 'one'
    this.#start = start
  }

  get backlog(): number {
    return this.#connection?.backlog ?? 0
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Resolves with what the database shows now: from there on every event comes. */
  attach(withinMs: number): Promise<Attached> {
    const late = () => new RefusalError('DatabaseUnavailable', 'the stream could not begin in time')
    return withDeadline(this.#options.tailer.attach(this), withinMs, late)
  }

  /** Gives up a stream that was never started. */
  abandon(): void {
    this.#isOver = true
    this.#options.tailer.detach(this)
  }

  /**
   * Sends over a connection: the past up to `until`, where this stream was attached, then what happens.
   *
   * @param isOutdated the reader may miss something, and is told so first
   */
  start(connection: Connection, until: Attached, isOutdated: boolean): void {
    this.#connection = connection
    connection.onClose(() => this.#over('client'))
    if (isOutdated) this.#inform('OutdatedCursor')
    void this.#run(until).catch((fault: unknown) => {
      if (this.#isOver) return
      this.#options.onFault(fault)
      this.end('failed')
    })
  }

  push(frame: Frame): void {
    const held = this.#held
    if (!held) {
      this.#ready.push(frame)
      return
    }
    if (held.isTooMuch) return
    held.frames.push(frame)
    held.bytes += sizeOf(frame.event)
    if (held.bytes <= MAX_HELD_BYTES) return
    held.isTooMuch = true
    held.frames = []
    this.#options.tailer.detach(this)
  }

  flush(): void {
    if (this.#ready.length === 0 || this.#isOver) return
    const frames = this.#ready
    this.#ready = []
    if (this.#connection!.waiting > MAX_WAITING_BYTES) this.end('slow')
    else this.#send(frames)
  }

  pushEphemeral(event: StreamEvent): void {
    if (this.#held || this.#isOver || this.#connection!.waiting > MAX_WAITING_BYTES) return
    // It has no position of its own.
    const cursor = this.#cursor!
    this.#send([new Frame(event, () => cursor)])
  }

  heartbeat(): void {
    if (this.backlog === 0) this.#inform('heartbeat')
  }

  /** Whether the reader has taken nothing for a long time although something waits. */
  isStalled(nowMs: number): boolean {
    const { backlog } = this
    const taken = this.#sentBytes - backlog
    if (backlog === 0 || taken > this.#progress.taken) this.#progress = { taken, atMs: nowMs }
    return backlog > 0 && nowMs - this.#progress.atMs > STALL_MS
  }

  /** Ends the stream by name, with the cursor to go on from. */
  end(reason: Exclude<CloseReason, 'client'>): void {
    if (this.#isOver) return
    this.#over(reason)
    this.#connection?.end(this.#lastWords(reason))
  }

  /** What a reader has had that has had everything up to here. */
  get cursor(): string {
    // When live, all that the tailer's snapshot shows has been sent, whatever of the rest is dropped now.
    const position = this.#held ? undefined : this.#options.tailer.position
    if (!position && this.#cursor !== undefined) return this.#cursor
    return this.#options.cursorOf(position ?? this.#start!, this.reader.convoId)
  }

  async #run(until: Attached): Promise<void> {
    let end = until
    if (this.#start) await this.#sendPast(end)
    while (this.#held?.isTooMuch && !this.#isOver) {
      this.#start = positionOf(end)
      this.#held = newHeld()
      end = await this.attach(ATTACH_MS)
      await this.#sendPast(end)
    }
    if (this.#isOver) return
    const { frames } = this.#held!
    this.#held = undefined
    this.#sendInfo('caughtUp', this.#options.cursorOf(positionOf(end), this.reader.convoId))
    this.#send(frames)
  }

  async #sendPast({ snapshot, atMs }: Attached): Promise<void> {
    const { incarnation, query } = this.#options
    const options = { reader: this.reader, incarnation, query }
    for await (const { round, rows } of backfill(options, this.#start!, { snapshot, atMs })) {
      if (this.#isOver) return
      this.#send(rows.flatMap((row) => this.#pastFrames(row, round)))
      await this.#drained()
    }
  }

  #pastFrames(row: LogRow, round: Omit<StreamPosition, 'place'>): Frame[] {
    const { did, convoId } = this.reader
    if (!isFor(did, row)) return []
    const events = eventsOf(row)
    if (row.removed.includes(did)) {
      events.push({ type: 'infoEvent', info: 'membershipEnded', convoId: row.convoId })
    }
    return events.map((event, i) => {
      const n = i === events.length - 1 ? row.n : row.n - 1
      const place = { convoId: row.convoId, n, seq: row.seq }
      return new Frame(event, () => this.#options.cursorOf({ ...round, place }, convoId))
    })
  }

  async #drained(): Promise<void> {
    const connection = this.#connection!
    if (connection.backlog <= LOW_BACKLOG_BYTES) return
    await new Promise<void>((resolve) => connection.whenDrained(resolve))
  }

  #send(frames: readonly Frame[]): void {
    const last = frames.at(-1)
    if (!last || this.#isOver) return
    const connection = this.#connection!
    const encoded = frames.map((frame) => frame.bytes(connection.form, this.#scope))
    connection.send(encoded)
    for (const { length } of encoded) this.#sentBytes += length
    this.#cursor = last.cursor(this.#scope)
    this.#options.onSent(frames.length)
  }

  #inform(info: Info): void {
    this.#sendInfo(info, this.cursor)
  }

  #sendInfo(info: Info, cursor: string): void {
    this.#send([new Frame({ type: 'infoEvent', info }, () => cursor)])
  }

  #over(reason: CloseReason): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#ready = []
    this.#options.tailer.detach(this)
    this.#options.onEnd(reason)
  }

  #lastWords(reason: Exclude<CloseReason, 'client'>): Buffer | undefined {
    if (reason === 'failed') return undefined
    const { form } = this.#connection!
    const { cursor } = this
    if (reason === 'slow' && form === 'cbor') {
      return errorFrame('ConsumerTooSlow', `the reader did not keep up (cursor=${cursor})`)
    }
    const info = ({ slow: 'slow', blocked: 'blocked', shutdown: 'ShuttingDown' } as const)[reason]
    return new Frame({ type: 'infoEvent', info }, () => cursor).bytes(form, this.#scope)
  }
}

function positionOf({ snapshot, atMs }: Attached): StreamPosition {
  return { since: { kind: 'snapshot', snapshot }, atMs }
}

function newHeld() {
  return { frames: [] as Frame[], bytes: 0, isTooMuch: false }
}

function sizeOf(event: StreamEvent): number {
  return EVENT_BYTES + (event.type === 'messageEvent' ? event.message.ciphertext.byteLength * 2 : 0)
}
