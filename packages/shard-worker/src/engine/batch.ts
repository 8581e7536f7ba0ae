import type { Reply } from '@catbird/shared/commands'
import type { Decision, Refused } from '../conversation/decision.ts'
import type { Unit } from '../store/store.ts'
import type { Actor } from './actor.ts'
import { claimsOf, type Pending, packageClaim } from './pending.ts'

export type AcceptedDecision = Extract<Decision, { outcome: 'accepted' }>

/** A command that waits for its unit: what it will be answered when the unit is durable. */
type Outcome = { answer: Record<string, unknown> } | Refused
export type Waiting = { pending: Pending; outcome: Outcome; isLate?: boolean }

/** A unit with the commands whose answers rest on it, in the order decided. */
export type StagedUnit = Unit & { actor: Actor; waiting: Waiting[] }

export type BatchLimits = { maxRows: number; maxBytes: number }

/** The decisions that will be made durable together; at most one unit per conversation. */
export class Batch {
  readonly units = new Map<string, StagedUnit>()
  readonly #claims = new Set<string>()
  readonly #limits: BatchLimits
  #rows = 0
  #bytes = 0

  constructor(limits: BatchLimits) {
    this.#limits = limits
  }

  get rows(): number {
    return this.#rows
  }

  get isFull(): boolean {
    return this.#rows >= this.#limits.maxRows || this.#bytes >= this.#limits.maxBytes
  }

  has(claim: string): boolean {
    return this.#claims.has(claim)
  }

  /** Adds an accepted command to its conversation's unit. `version` is the one that the decision built on. */
  add(actor: Actor, version: number, pending: Pending, decision: AcceptedDecision): void {
    let unit = this.units.get(actor.convoId)
    if (!unit) {
      const { convoId } = actor
      unit = { convoId, expectedVersion: version, changes: [], final: decision.state, actor, waiting: [] }
      this.units.set(convoId, unit)
      actor.unsettledUnits++
    }
    unit.changes.push(decision.change)
    unit.final = decision.state
    unit.waiting.push({ pending, outcome: { answer: decision.answer } })
    for (const claim of claimsOf(pending)) this.#claims.add(claim)
    // Claimed by hash whatever the command called them.
    for (const name of decision.change.keyPackages) this.#claims.add(packageClaim(name))
    this.#rows += decision.change.rows.length
    this.#bytes += pending.command.size
  }

  /** Takes a unit out whose ground is gone; its commands are given back. */
  remove(convoId: string): Pending[] {
    const unit = this.units.get(convoId)
    if (!unit) return []
    this.units.delete(convoId)
    unit.actor.unsettledUnits--
    if (this.units.size === 0) this.#clear()
    return unit.waiting.map(({ pending }) => pending)
  }

  /** An empty batch is never flushed: nobody would wait for its claims or its size to go. */
  #clear(): void {
    this.#claims.clear()
    this.#rows = 0
    this.#bytes = 0
  }
}

export function replyTo(waiting: Waiting): Reply {
  const { outcome } = waiting
  return 'answer' in outcome ? { ok: true, answer: outcome.answer } : { ok: false, refusal: outcome.refusal }
}
