import { type Command, type Reply, refused } from '@catbird/shared/commands'
import type { ErrorName } from '@catbird/shared/errors'
import { decide } from '../conversation/decide.ts'
import type { Change, Refused } from '../conversation/decision.ts'
import { type Facts, NO_FACTS } from '../conversation/facts.ts'
import type { ConvoState } from '../conversation/state.ts'
import { StoreError } from '../store/store.ts'
import type { Actor } from './actor.ts'
import { ActorRegistry } from './actor-registry.ts'
import type { StagedUnit, Waiting } from './batch.ts'
import { CommitLanes } from './commit-lanes.ts'
import { settleUnderLock } from './locked-run.ts'
import { createPending, type Pending, settleRefused } from './pending.ts'
import { RefusalConfirmer, type WaitingRefusal } from './refusal-confirmer.ts'
import type { ShardOptions } from './shard-options.ts'
import type { DropReason, RestartReason } from './telemetry.ts'
import { beginTurn, type Obstacle, readTurns, type Turn } from './turn.ts'

/** Commands that one actor may have decided in its turn, so that a hot conversation cannot starve the others. */
const TURN_COMMANDS = 32
/** Actors that take their turn in one tick. */
const TICK_ACTORS = 256
/** After so many overtaken decisions a command runs under the row's lock (G13). */
const MAX_LOST_GUARDS = 3

/**
 * The actors of one shard and the tick that drives them: take commands from mailboxes in turn, read the states and
 * facts that they need in one go, decide each in order, hand acceptances to the group commit and refusals to their
 * confirmation.
 */
export class Shard {
  readonly #options: ShardOptions
  readonly #actors: ActorRegistry
  readonly #commit: CommitLanes
  readonly #confirmer: RefusalConfirmer
  #ready: Actor[] = []
  /** Actors that wait for a claim or for room in the batch. */
  readonly #parked = new Set<Actor>()
  #isTicking = false
  #isStopping = false
  /** Commands that are not answered yet. */
  #inHand = 0

  constructor(options: ShardOptions) {
    const { store, clock, telemetry, limits, random } = options
    this.#options = options
    this.#actors = new ActorRegistry({
      maxResident: limits.maxResident,
      idleMs: limits.idleMs,
      onStop: (convoId, reason) => telemetry.actorStopped(convoId, reason),
    })
    this.#commit = new CommitLanes({
      store,
      clock,
      telemetry,
      random,
      limits: { maxRows: limits.batchRows, maxBytes: limits.batchBytes },
      onWritten: (unit) => this.#onWritten(unit),
      onOpenRefusal: (unit, waiting) => this.#onOpenRefusal(unit, waiting),
      onLost: (actor, pendings, reason) => this.#onLost(actor, pendings, reason),
      onProgress: () => this.#unpark(),
    })
    this.#confirmer = new RefusalConfirmer(store, (waiting) => this.#onStaleRefusal(waiting))
  }

  get actors(): ActorRegistry {
    return this.#actors
  }

  /** Runs one command to its answer. Never rejects: what goes wrong is a refusal by name. */
  submit(command: Command): Promise<Reply> {
    if (this.#isStopping) return Promise.resolve(refused('ShuttingDown', 'the server is shutting down'))
    const { clock, limits } = this.#options
    const nowMs = clock.now()
    const actor = this.#actors.activate(command.convoId, nowMs)
    const isFull = actor.depth >= limits.mailboxCommands || actor.mailboxBytes >= limits.mailboxBytes
    return new Promise((resolve) => {
      const pending = this.#pending(command, nowMs, resolve)
      if (isFull) {
        this.#drop(pending, 'mailbox_full', 'Overloaded', 'too many requests wait for this conversation')
      } else {
        actor.push(pending)
        this.#schedule(actor)
      }
    })
  }

  /** Passivates what has been idle for long. */
  sweep(): void {
    this.#actors.sweep(this.#options.clock.now())
  }

  /** G5: takes nothing more and finishes what it has until the deadline; of what is written then nobody knows. */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopping = true
    const { clock } = this.#options
    while (this.#inHand > 0 && clock.now() < deadlineMs) await clock.sleep(5)
    for (const actor of [...this.#actors.values()]) {
      for (const pending of actor.take(Number.POSITIVE_INFINITY)) {
        this.#drop(pending, 'shutdown', 'ShuttingDown', 'the server shut down before this command ran')
      }
      this.#actors.stop(actor, 'shutdown')
    }
  }

  #pending(command: Command, nowMs: number, resolve: (reply: Reply) => void): Pending {
    this.#inHand++
    return createPending(command, this.#options.newId(), nowMs, (reply) => {
      this.#inHand--
      const seconds = (this.#options.clock.now() - nowMs) / 1000
      this.#options.telemetry.commandDone(command, reply, seconds)
      resolve(reply)
    })
  }

  #drop(pending: Pending, reason: DropReason, error: ErrorName, message: string): void {
    this.#options.telemetry.commandDropped(pending.command, reason)
    settleRefused(pending, error, message)
  }

  #schedule(actor: Actor): void {
    if (actor.isScheduled || actor.isBlocked || actor.depth === 0) return
    actor.isScheduled = true
    this.#ready.push(actor)
    if (!this.#isTicking) void this.#run()
  }

  async #run(): Promise<void> {
    this.#isTicking = true
    // Commands that arrive together share the tick.
    await Promise.resolve()
    while (this.#ready.length > 0) {
      if (this.#commit.areFull) {
        for (const actor of this.#ready.splice(0)) this.#parked.add(actor)
        break
      }
      await this.#tick()
    }
    this.#isTicking = false
  }

  async #tick(): Promise<void> {
    const turns = this.#ready
      .splice(0, TICK_ACTORS)
      .map((actor) => beginTurn(actor, TURN_COMMANDS, (pending) => this.#commit.isClaimed(pending)))
    try {
      await readTurns(this.#options.store, turns)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      for (const turn of turns) this.#abandon(turn)
      return
    }
    for (const turn of turns) {
      this.#announce(turn.actor)
      this.#take(turn)
    }
    this.#confirmer.run()
    this.#commit.flush()
  }

  /** The reads of a tick failed: nothing was decided. */
  #abandon({ actor, pendings }: Turn): void {
    for (const pending of pendings) {
      this.#drop(pending, 'database', 'DatabaseUnavailable', 'the database cannot be reached')
    }
    this.#endTurn(actor)
  }

  #take({ actor, pendings, facts, claimed }: Turn): void {
    for (const [i, pending] of pendings.entries()) {
      const obstacle = this.#obstacle(actor, pending, facts[i], claimed.has(pending))
      if (obstacle) {
        actor.putBack(pendings.slice(i))
        this.#interrupt(actor, obstacle)
        return
      }
      if (pending.command.deadlineMs <= this.#options.clock.now()) {
        this.#drop(pending, 'deadline', 'Overloaded', 'the deadline passed before this command ran')
      } else {
        this.#decide(actor, pending, facts[i] ?? NO_FACTS)
      }
    }
    this.#endTurn(actor)
  }

  #interrupt(actor: Actor, obstacle: Obstacle): void {
    if (obstacle === 'wait') this.#parked.add(actor)
    else if (obstacle === 'lock') this.#runLocked(actor)
    else this.#endTurn(actor)
  }

  #obstacle(
    actor: Actor,
    pending: Pending,
    facts: Facts | undefined,
    wasClaimed: boolean,
  ): Obstacle | undefined {
    if (actor.isBlocked || actor.state === undefined) return 'reread'
    if (pending.lostGuards >= MAX_LOST_GUARDS) return actor.unsettledUnits > 0 ? 'wait' : 'lock'
    if (this.#commit.isFullFor(actor) || this.#commit.isClaimed(pending, facts)) return 'wait'
    return wasClaimed ? 'reread' : undefined
  }

  #decide(actor: Actor, pending: Pending, facts: Facts): void {
    const { clock, policy } = this.#options
    const state = actor.state as ConvoState | null
    const context = { nowMs: clock.now(), entryId: pending.entryId, policy }
    const decision = decide(state, pending.command, facts, context)
    switch (decision.outcome) {
      case 'accepted':
        this.#commit.stage(actor, pending, decision)
        return
      case 'repeated':
        pending.settle({ ok: true, answer: decision.answer })
        return
      case 'refused':
        if (actor.unsettledUnits > 0) this.#commit.attachRefusal(actor, pending, decision)
        else this.#confirmer.add({ actor, pending, refused: decision, version: state?.version ?? 0 })
    }
  }

  /** Runs the first waiting command under the row's lock (G13); the actor then reads again. */
  #runLocked(actor: Actor): void {
    const [pending] = actor.take(1) as [Pending]
    actor.isBlocked = true
    const running = settleUnderLock(this.#options.store, pending, (change) => this.#onChange(pending, change))
    void running.finally(() => {
      actor.isBlocked = false
      this.#restart(actor, 'guard_lost')
      this.#endTurn(actor)
    })
  }

  #endTurn(actor: Actor): void {
    actor.isScheduled = false
    this.#schedule(actor)
    this.#actors.release(actor)
  }

  #unpark(): void {
    for (const actor of this.#parked) {
      this.#parked.delete(actor)
      this.#endTurn(actor)
    }
  }

  #onWritten({ actor, waiting, changes }: StagedUnit): void {
    this.#announce(actor)
    const done = waiting.filter(({ outcome }) => 'answer' in outcome)
    for (const [i, { pending }] of done.entries()) this.#onChange(pending, changes[i]!)
    this.#schedule(actor)
    this.#actors.release(actor)
  }

  #onChange({ command, arrivedAtMs }: Pending, change: Change): void {
    const { clock, telemetry } = this.#options
    const seconds = (clock.now() - arrivedAtMs) / 1000
    for (const { event } of change.rows) {
      if (event.kind !== 'commit') continue
      telemetry.epochAdvanced(command.convoId, event.epoch, seconds, command.requestId)
    }
  }

  #onLost(actor: Actor, pendings: Pending[], reason: RestartReason): void {
    for (const pending of pendings) pending.lostGuards++
    actor.putBack(pendings)
    this.#restart(actor, reason)
    this.#schedule(actor)
    this.#actors.release(actor)
  }

  /** Its unit is durable; whether that is still the newest version needs a read, like any other refusal. */
  #onOpenRefusal({ actor, final }: StagedUnit, { pending, outcome }: Waiting): void {
    this.#confirmer.add({ actor, pending, refused: outcome as Refused, version: final.version })
    this.#confirmer.run()
  }

  /** The database has moved on since a refusal was decided: the command is decided again on what it says now. */
  #onStaleRefusal({ actor, pending, version }: WaitingRefusal): void {
    pending.lostGuards++
    const current = this.#actors.activate(actor.convoId, this.#options.clock.now())
    const { state, unsettledUnits } = current
    const isStale = state !== undefined && unsettledUnits === 0 && (state?.version ?? 0) === version
    if (isStale) this.#restart(current, 'refusal_stale')
    current.putBack([pending])
    this.#schedule(current)
  }

  #restart(actor: Actor, reason: RestartReason): void {
    actor.state = undefined
    if (actor.isStarted) this.#options.telemetry.actorRestarted(actor.convoId, reason)
  }

  #announce(actor: Actor): void {
    if (actor.isStarted || !actor.state || actor.unsettledUnits > 0) return
    actor.isStarted = true
    this.#options.telemetry.actorStarted(actor.state)
  }
}
