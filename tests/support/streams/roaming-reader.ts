import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../engine/random.ts'
import type { StreamEvent } from './event-check.ts'
import { Stay } from './stay.ts'
import { type Since, StreamLedger } from './stream-ledger.ts'
import { openReader, type StreamReader } from './stream-reader.ts'
import { StreamRefused } from './transport.ts'

export type RoamingOptions = {
  /** Of the person whose stream it reads. */
  token: () => Promise<string>
  /** Of this conversation alone. */
  convoId: string | undefined
  random: Random
  /** Whether it begins with the oldest event; otherwise with what happens from then on. */
  isWhole: boolean
  /** Of the servers that are up. */
  urls: () => readonly string[]
  /** What the database has of each conversation now. */
  heads: () => Promise<Since>
}

/** Cursors that it may go back to. */
const RECENT = 300
const MAX_PAUSE_MS = 400
const RETRY_MS = 50
const OPEN_MS = 60_000
const CAUGHT_UP_MS = 60_000
const KINDS = ['sse', 'socket'] as const
const BROKEN = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE']
const PASSING = ['RateLimitExceeded', 'Overloaded', 'ShuttingDown', 'DatabaseUnavailable']

/**
 * Reads the stream of one person over one connection after another: at any server, over either transport, for any
 * number of events and any time, from the newest cursor or an older one. Everything that comes goes into its ledger.
 */
export class RoamingReader {
  readonly ledger = new StreamLedger()
  readonly #options: RoamingOptions
  readonly #recent: string[] = []
  readonly #running: Promise<void>
  /** Whether every event is held against the lexicon, which costs. */
  readonly #check: boolean
  #leave = () => {}
  #isSettled = false
  #isStopping = false
  /** Events of all connections. */
  events = 0
  connections = 0
  /** How often it was told that its cursor is of an earlier life of the database. */
  outdated = 0
  /** How often something else than this reader ended a connection or kept one from opening, by what it was. */
  readonly ends: Record<string, number> = {}
  /** A server sent or answered what it may not. */
  failure: unknown

  constructor(options: RoamingOptions) {
    this.#options = options
    this.#check = options.random.chance(0.1)
    this.#running = this.#run().catch((error: unknown) => {
      this.failure = error
    })
  }

  /** From now on it leaves a connection only when that breaks; half of the readers come once more before. */
  settle(): void {
    this.#isSettled = true
    if (this.#options.random.chance(0.5)) this.#leave()
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    this.#leave()
    await this.#running
  }

  async #run(): Promise<void> {
    if (this.#options.isWhole) this.#recent.push('0')
    while (this.#recent.length === 0 && !this.#isStopping) await this.#try(() => this.#begin())
    while (!this.#isStopping) await this.#try(() => this.#goOn())
  }

  async #try(connect: () => Promise<void>): Promise<void> {
    try {
      await connect()
    } catch (error) {
      const name = passingName(error)
      if (name === undefined) throw error
      this.#count(name)
      await sleep(RETRY_MS)
    }
  }

  /** The first connection has no cursor: what happened before it is open need not come. */
  async #begin(): Promise<void> {
    const reader = await this.#open({ keep: true })
    try {
      await reader.until('caughtUp', CAUGHT_UP_MS)
      const since = await this.#options.heads()
      await reader.close()
      this.ledger.connected(undefined, since)
      for (const event of reader.events) this.#take(event)
    } finally {
      await reader.close()
    }
  }

  async #goOn(): Promise<void> {
    const { random } = this.#options
    const cursor = random.chance(0.2) ? random.pick(this.#recent) : this.#recent.at(-1)!
    const stay = new Stay(random, () => !this.#isSettled)
    this.#leave = () => stay.leave()
    if (this.#isStopping) return stay.leave()
    this.ledger.connected(cursor)
    try {
      await this.#follow(cursor, stay)
    } finally {
      stay.leave()
    }
  }

  async #follow(cursor: string, stay: Stay): Promise<void> {
    const onEvent = (event: StreamEvent) => {
      // What came in the same packet is lost.
      if (stay.isOver) return
      this.#take(event)
      stay.note(event)
    }
    const reader = await this.#open({ cursor, onEvent })
    try {
      if (this.#options.random.chance(0.1)) await this.#pause(reader)
      const end = await Promise.race([reader.ended, stay.over])
      if (!end) return
      if (end.reason === 'invalid') throw new Error(end.problem)
      this.#count(end.error?.error ?? end.reason)
    } finally {
      await reader.close()
    }
  }

  async #pause(reader: StreamReader): Promise<void> {
    reader.pause()
    await sleep(this.#options.random.int(MAX_PAUSE_MS))
    reader.resume()
  }

  /** At a server that is up; while there is none, it waits. */
  async #open(more: { cursor?: string; keep?: boolean; onEvent?: (event: StreamEvent) => void }) {
    const { token, convoId, random, urls } = this.#options
    const check = this.#check
    const options = { token: await token(), convoId, keep: false, check, timeoutMs: OPEN_MS, ...more }
    while (urls().length === 0) {
      if (this.#isStopping) throw Object.assign(new Error('no server is up'), { code: 'ECONNREFUSED' })
      await sleep(RETRY_MS)
    }
    this.connections++
    return openReader(random.pick(KINDS), { url: random.pick(urls()), ...options })
  }

  #take(event: StreamEvent): void {
    this.ledger.received(event)
    this.events++
    const isOutdated = event.type === 'infoEvent' && event.info === 'OutdatedCursor'
    if (isOutdated) this.outdated++
    // From the oldest it begins once; and cursors of what is over it does not use again.
    if (isOutdated || this.#recent[0] === '0') this.#recent.length = 0
    this.#recent.push(event.cursor)
    if (this.#recent.length > RECENT) this.#recent.shift()
  }

  #count(end: string): void {
    this.ends[end] = (this.ends[end] ?? 0) + 1
  }
}

/** What may happen to a reader while servers come and go; undefined for everything else. */
function passingName(error: unknown): string | undefined {
  if (error instanceof StreamRefused) {
    return PASSING.includes(error.body.error) ? error.body.error : undefined
  }
  const { code, message } = error as NodeJS.ErrnoException
  if (/^the stream (has )?ended/.test(message)) return 'ended'
  return code !== undefined && BROKEN.includes(code) ? code : undefined
}
