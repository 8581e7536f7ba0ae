import type { Clock } from '@catbird/shared/clock'
import type { ErrorName } from '@catbird/shared/errors'
import type { Refused } from '../conversation/decision.ts'
import type { Facts } from '../conversation/facts.ts'
import { type Store, StoreError, type Unit } from '../store/store.ts'
import type { Actor } from './actor.ts'
import {
  type AcceptedDecision,
  Batch,
  type BatchLimits,
  replyTo,
  type StagedUnit,
  type Waiting,
} from './batch.ts'
import { claimsOf, type Pending, settleRefused } from './pending.ts'
import type { RestartReason, Telemetry } from './telemetry.ts'

export type GroupCommitOptions = {
  store: Store
  clock: Clock
  telemetry: Telemetry
  limits: BatchLimits
  random: () => number
  /** The unit is durable and its callers are answered. */
  onWritten(unit: StagedUnit): void
  /** The unit is durable, but the refusal that waited for it must be confirmed by a read. */
  onOpenRefusal(unit: StagedUnit, waiting: Waiting): void
  /** The unit was not written: its commands, and those staged on top of it, must be decided again. */
  onLost(actor: Actor, pendings: Pending[], reason: RestartReason): void
  /** There is room in the batch again, or claims were given up. */
  onProgress(): void
}

/** Not worth a transaction of its own beside another. */
const SMALL_BATCH_ROWS = 16
/** How long the outcome of a lost write is looked for before its callers are told that it is unknown. */
const RESOLVE_MS = 20_000
const RETRY_MS = { first: 20, max: 1000 }

/**
 * Makes decisions durable, many conversations in one transaction.
 *
 * States of a unit: open (decisions join it) → in flight → written | lost | in doubt → written | lost | unknown.
 *
 * - G1 Nobody is answered before the unit's transaction has committed.
 * - G2 A conversation has at most one unit in flight, and the open one builds on it: entries commit in the order
 *   decided.
 * - G3 A unit that was not written takes the open one of its conversation with it; both are decided again.
 * - G4 Flushes at once when idle; what is decided meanwhile is the next batch. No timer. On a data fault the batch
 *   is halved until the faulty conversation is alone.
 * - G6 A refusal that rests on staged state is released with its unit, or after a further read when the unit had been
 *   sent before it was decided or when it must still name a winner.
 * - G7 When the connection is lost the same write is tried again with the same entry ids: the guard lets it through
 *   once, and the ids tell whose it was. Only then are commands decided again.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions
  #open: Batch
  #inFlight: Batch | undefined
  readonly #inDoubt = new Set<Batch>()

  constructor(options: GroupCommitOptions) {
    this.#options = options
    this.#open = new Batch(options.limits)
  }

  get isFull(): boolean {
    return this.#open.isFull
  }

  /** Rows ahead of what would be staged now. A batch that is about to leave with few is filled before any other. */
  get load(): number {
    const { rows } = this.#open
    if (this.isFull) return Number.POSITIVE_INFINITY
    if (this.#inFlight) return rows + this.#inFlight.rows
    return rows < SMALL_BATCH_ROWS ? -rows : rows
  }

  /** Whether another staged command holds something that this one needs for itself. */
  isClaimed(pending: Pending, facts?: Facts): boolean {
    const batches = [this.#open, ...(this.#inFlight ? [this.#inFlight] : []), ...this.#inDoubt]
    return claimsOf(pending, facts).some((claim) => batches.some((batch) => batch.has(claim)))
  }

  stage(actor: Actor, pending: Pending, decision: AcceptedDecision): void {
    this.#open.add(actor, actor.state?.version ?? 0, pending, decision)
    actor.state = decision.state
  }

  /** Holds a refusal that rests on staged state until that state is durable (G6). */
  attachRefusal(actor: Actor, pending: Pending, refused: Refused): void {
    const open = this.#open.units.get(actor.convoId)
    const unit = open ?? this.#inFlight?.units.get(actor.convoId)
    if (!unit) throw new Error('a refusal on staged state without a staged unit')
    unit.waiting.push({ pending, outcome: refused, isLate: !open })
  }

  /** Starts writing what is staged unless a write is running; that one goes on with it. */
  flush(): void {
    if (this.#inFlight || this.#open.units.size === 0) return
    const batch = this.#open
    this.#open = new Batch(this.#options.limits)
    this.#inFlight = batch
    this.#options.onProgress()
    void this.#write([...batch.units.values()], batch).finally(() => {
      if (this.#inFlight === batch) this.#inFlight = undefined
      this.#options.onProgress()
      this.flush()
    })
  }

  async #write(units: StagedUnit[], batch: Batch): Promise<void> {
    const { store, clock, telemetry } = this.#options
    const startedMs = clock.now()
    try {
      const written = await store.write(units)
      const [writtenAtMs, rows] = [clock.now(), rowsOf(units)]
      const seconds = (writtenAtMs - startedMs) / 1000
      telemetry.batchWritten(rows, seconds)
      const report = { writtenAtMs, rows, conversations: units.length, seconds }
      for (const { actor, convoId } of units) if (written.has(convoId)) actor.lastBatch = report
      this.#lose(units, written, 'guard_lost')
      // The next batch is on its way before the callers of this one hear of theirs: the database need not wait.
      if (units.length === batch.units.size) {
        this.#inFlight = undefined
        this.flush()
      }
      this.#release(units, written)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      telemetry.batchFailed(error.failure)
      await this.#recover(error, units, batch)
    }
  }

  async #recover(error: StoreError, units: StagedUnit[], batch: Batch): Promise<void> {
    switch (error.failure) {
      case 'rolledBack':
        await this.#pause(1)
        this.#lose(units, NOTHING, 'batch_failed')
        return
      case 'data':
        return this.#bisect(units, batch)
      case 'unavailable':
        for (const unit of units) {
          this.#fail(unit, 'batch_failed', 'DatabaseUnavailable', 'the database cannot be reached')
        }
        return
      case 'unknown':
        this.#doubt(units, batch)
    }
  }

  async #bisect(units: StagedUnit[], batch: Batch): Promise<void> {
    if (units.length === 1) {
      // Alone, one command at a time, under the row's lock: only the faulty one fails.
      for (const { pending } of units[0]!.waiting) pending.lostGuards = Number.POSITIVE_INFINITY
      this.#lose(units, NOTHING, 'batch_failed')
      return
    }
    const middle = units.length >> 1
    await this.#write(units.slice(0, middle), batch)
    await this.#write(units.slice(middle), batch)
  }

  /** Answers everybody whose unit is durable; refusals that need a read go on to their confirmation. */
  #release(units: StagedUnit[], written: Set<string>): void {
    for (const unit of units) {
      if (!written.has(unit.convoId)) continue
      unit.actor.unsettledUnits--
      for (const waiting of unit.waiting) {
        if (needsRead(waiting)) this.#options.onOpenRefusal(unit, waiting)
        else waiting.pending.settle(replyTo(waiting))
      }
      this.#options.onWritten(unit)
    }
  }

  /** Gives the commands of units that were not written back, with those staged on top of them. */
  #lose(units: StagedUnit[], written: Set<string>, reason: RestartReason): void {
    for (const { actor, convoId, waiting } of units) {
      if (written.has(convoId)) continue
      actor.unsettledUnits--
      const pendings = [...waiting.map(({ pending }) => pending), ...this.#open.remove(convoId)]
      actor.state = undefined
      this.#options.onLost(actor, pendings, reason)
    }
  }

  /** Answers everybody that rests on the unit; the actor reads again. */
  #fail(unit: StagedUnit, reason: RestartReason, error: ErrorName, message: string): void {
    const { actor } = unit
    actor.unsettledUnits--
    const pendings = [...unit.waiting.map(({ pending }) => pending), ...this.#open.remove(unit.convoId)]
    actor.state = undefined
    for (const pending of pendings) settleRefused(pending, error, message)
    this.#options.onLost(actor, [], reason)
  }

  /** Sets a batch aside until its outcome is known; its actors take no commands meanwhile, all others go on. */
  #doubt(units: StagedUnit[], batch: Batch): void {
    this.#inDoubt.add(batch)
    for (const { actor } of units) {
      actor.isBlocked = true
      actor.state = undefined
      this.#options.onLost(actor, this.#open.remove(actor.convoId), 'outcome_unknown')
    }
    void this.#resolve(units).finally(() => {
      this.#inDoubt.delete(batch)
      this.#options.onProgress()
      this.flush()
    })
  }

  async #resolve(units: StagedUnit[]): Promise<void> {
    const { clock } = this.#options
    const untilMs = clock.now() + RESOLVE_MS
    let open = units
    for (let tries = 0; open.length > 0 && clock.now() < untilMs; tries++) {
      await this.#pause(tries)
      open = await this.#tryToResolve(open)
    }
    for (const unit of open) {
      unit.actor.isBlocked = false
      this.#fail(
        unit,
        'outcome_unknown',
        'OutcomeUnknown',
        'the write may or may not have happened; retry with the same key',
      )
    }
  }

  /** One more try of the same write; returns the units that are still in doubt. */
  async #tryToResolve(units: StagedUnit[]): Promise<StagedUnit[]> {
    const { store } = this.#options
    try {
      const written = await store.write(units)
      const others = units.filter(({ convoId }) => !written.has(convoId))
      const seen = others.length > 0 ? await store.inspect(others.map(firstRow)) : []
      const undecided: StagedUnit[] = []
      for (const [i, unit] of others.entries()) {
        const { version, entryId } = seen[i]!
        if (entryId === unit.changes[0]!.entryId) written.add(unit.convoId)
        // Neither ours nor moved on: the lost connection's backend still holds the row, or a guard outside it.
        else if (version === unit.expectedVersion) undecided.push(unit)
      }
      const decided = units.filter((unit) => !undecided.includes(unit))
      for (const { actor } of decided) actor.isBlocked = false
      this.#lose(decided, written, 'outcome_unknown')
      this.#release(decided, written)
      return undecided
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      return error.failure === 'data' ? this.#bisectInDoubt(units) : units
    }
  }

  async #bisectInDoubt(units: StagedUnit[]): Promise<StagedUnit[]> {
    if (units.length > 1) {
      const middle = units.length >> 1
      const first = await this.#tryToResolve(units.slice(0, middle))
      return [...first, ...(await this.#tryToResolve(units.slice(middle)))]
    }
    for (const { actor } of units) actor.isBlocked = false
    await this.#bisect(units, this.#open)
    return []
  }

  #pause(tries: number): Promise<void> {
    const { clock, random } = this.#options
    const ms = Math.min(RETRY_MS.max, RETRY_MS.first * 2 ** tries)
    return clock.sleep(ms * (0.5 + random() / 2))
  }
}

const NOTHING: Set<string> = new Set()

/** It joined when its unit had been sent, so that the guard may have looked before; or it must name a winner. */
function needsRead({ outcome, isLate }: Waiting): boolean {
  return isLate === true || ('refusal' in outcome && outcome.winnerOf !== undefined)
}

function firstRow(unit: Unit): { convoId: string; n: number } {
  return { convoId: unit.convoId, n: unit.expectedVersion + 1 }
}

function rowsOf(units: Unit[]): number {
  return units.reduce((sum, { changes }) => sum + changes.reduce((n, { rows }) => n + rows.length, 0), 0)
}
