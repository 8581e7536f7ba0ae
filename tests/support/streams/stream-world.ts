import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from '@catbird/shared/sql'
import { Random } from '../../engine/random.ts'
import { openSql } from '../postgres.ts'
import { newDid } from '../use-server.ts'
import type { Survived } from './convo-delivery.ts'
import { Fleet } from './fleet.ts'
import { RoamingReader } from './roaming-reader.ts'
import { readConvos, readHeads, StoredTruth } from './stored-truth.ts'
import { faultLines, type Verdict } from './verdict.ts'
import { WriteLoad } from './write-load.ts'

type Size = {
  people: number
  /** Readers of one conversation alone, beside those of all: one for each person. */
  readersOfOne: number
  /** That are written in at a time. */
  convos: number
  /** Whether all readers begin with the oldest event; most begin with what happens from then on, unless told. */
  isWhole?: boolean
}

/** What all readers got. */
export type Report = {
  /** A line for each reader that got something wrong. */
  faults: string[]
  /** Messages and commits that came, repeats included; and those that the log has. */
  deliveries: number
  repeated: number
  entries: number
  /** Everything that came. */
  events: number
  connections: number
  /** Messages that were acknowledged and are not in the log. */
  lost: number
  /** Readers that were told that their cursor is of an earlier life of the database. */
  outdatedReaders: number
  /** How often something else than a reader ended a connection, by what it was. */
  ends: Record<string, number>
}

type Reading = { did: string; convoId?: string | undefined; reader: RoamingReader }

const PROGRESS_MS = 240_000
const ARRIVAL_MS = 60_000

/** People who write and read at the same time, at whichever of the servers that are up on one database. */
export class StreamWorld {
  readonly random: Random
  fleet: Fleet
  load: WriteLoad
  #sql: Pool
  readonly #dids: readonly string[]
  readonly #readings: Reading[] = []

  private constructor(random: Random, dids: readonly string[], url: string, fleet: Fleet, load: WriteLoad) {
    this.random = random
    this.#dids = dids
    this.fleet = fleet
    this.load = load
    this.#sql = openSql(url)
  }

  static async start(databaseUrl: string, size: Size): Promise<StreamWorld> {
    const { people, readersOfOne, convos, isWhole = false } = size
    const seed = Number(process.env.STREAM_SEED ?? randomInt(2 ** 32))
    console.log(`STREAM_SEED=${seed}`)
    const random = new Random(seed)
    const dids = Array.from({ length: people }, () => newDid('reader'))
    const fleet = await Fleet.start(databaseUrl, random)
    const load = await WriteLoad.inNew({ clients: fleet, dids, random }, convos)
    const world = new StreamWorld(random, dids, databaseUrl, fleet, load)
    for (const did of dids) world.#addReader({ did }, isWhole)
    const stored = await readConvos(world.#sql)
    for (let i = 0; i < readersOfOne; i++) {
      const { convoId, members } = random.pick(stored)
      world.#addReader({ did: random.pick(members), convoId }, isWhole)
    }
    return world
  }

  get events(): number {
    return this.#readings.reduce((sum, { reader }) => sum + reader.events, 0)
  }

  /** Waits until so many events came to readers and so many messages were acknowledged. */
  async until(events: number, messages = 0): Promise<void> {
    const isThere = () => {
      this.#throwFailure()
      return this.events >= events && this.load.acknowledged.length >= messages
    }
    if (await comesAbout(isThere, Date.now() + PROGRESS_MS)) return
    const { length } = this.load.acknowledged
    throw new Error(`no more than ${this.events} events of ${length} messages in ${PROGRESS_MS} ms`)
  }

  /** Other servers on another database, in which people go on where that is; the readers find the way by themselves. */
  async moveTo(databaseUrl: string): Promise<void> {
    await this.#sql.end()
    this.#sql = openSql(databaseUrl)
    this.fleet = await Fleet.start(databaseUrl, this.random)
    const options = { clients: this.fleet, dids: this.#dids, random: this.random }
    this.load = await WriteLoad.inStored(options, await readConvos(this.#sql))
  }

  /**
   * Ends the writing, lets everything arrive, and holds what every reader got against the database.
   *
   * @param survived of a restored database, what the backup had
   */
  async finish(survived?: ReadonlyMap<string, Survived>): Promise<Report> {
    await this.load.stop()
    const truth = await StoredTruth.read(this.#sql)
    const judge = ({ did, convoId, reader }: Reading): Verdict =>
      reader.ledger.judge({ ...truth.of(did, convoId), ...(survived && { survived }) })
    for (const { reader } of this.#readings) reader.settle()
    await this.#arrival(judge)
    await Promise.all(this.#readings.map(({ reader }) => reader.stop()))
    this.#throwFailure()
    return this.#report(truth, judge)
  }

  /** Ends what is still running, without a look at it; resolves with the servers' exit codes. */
  async stop(): Promise<(number | null)[]> {
    await Promise.all([this.load.stop(), ...this.#readings.map(({ reader }) => reader.stop())])
    await this.#sql.end()
    return this.fleet.stop()
  }

  #addReader({ did, convoId }: Omit<Reading, 'reader'>, isWhole: boolean): void {
    const random = new Random(this.random.int(2 ** 32))
    const reader = new RoamingReader({
      token: () => this.fleet.as(did).token(),
      convoId,
      random,
      isWhole: isWhole || random.chance(0.3),
      urls: () => this.fleet.urls,
      heads: async () => Array.from(await readHeads(this.#sql), ([id, { n }]) => [id, n] as const),
    })
    this.#readings.push({ did, convoId, reader })
  }

  #throwFailure(): void {
    const failed = [this.load, ...this.#readings.map(({ reader }) => reader)].find(({ failure }) => failure)
    if (failed) throw failed.failure
  }

  /** Waits until every reader has everything, or one has got something that it may not get. */
  async #arrival(judge: (reading: Reading) => Verdict): Promise<void> {
    const deadlineMs = Date.now() + ARRIVAL_MS
    for (const reading of this.#readings) {
      const isOver = () => {
        this.#throwFailure()
        const { missed, missedChanges, missedEnds, entries: _, repeated: __, ...wrong } = judge(reading)
        const isComplete = [missed, missedChanges, missedEnds].every((faults) => faults.length === 0)
        return isComplete || Object.values(wrong).some((faults) => faults.length > 0)
      }
      if (!(await comesAbout(isOver, deadlineMs))) return
    }
  }

  #report(truth: StoredTruth, judge: (reading: Reading) => Verdict): Report {
    const report: Report = {
      faults: [],
      deliveries: 0,
      repeated: 0,
      entries: truth.entries,
      events: this.events,
      connections: 0,
      lost: this.load.acknowledged.filter((id) => !truth.messageIds.has(id)).length,
      outdatedReaders: this.#readings.filter(({ reader }) => reader.outdated > 0).length,
      ends: {},
    }
    for (const [index, reading] of this.#readings.entries()) {
      const verdict = judge(reading)
      const { connections, ends } = reading.reader
      report.faults.push(...faultLines(verdict).map((line) => `reader ${index}: ${line}`))
      report.deliveries += verdict.entries
      report.repeated += verdict.repeated
      report.connections += connections
      for (const [end, count] of Object.entries(ends)) report.ends[end] = (report.ends[end] ?? 0) + count
    }
    return report
  }
}

async function comesAbout(holds: () => boolean, deadlineMs: number): Promise<boolean> {
  while (!holds()) {
    if (Date.now() > deadlineMs) return false
    await sleep(50)
  }
  return true
}
