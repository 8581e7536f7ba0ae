import type { Passivation } from '@catbird/shared/shard-protocol'
import { Actor } from './actor.ts'
import type { StopReason } from './telemetry.ts'

export type RegistryOptions = {
  maxResident: number
  idleMs: number
  onStop(convoId: string, reason: StopReason): void
}

/** Beyond this many departures the state is read anew rather than grown. */
const MAX_DEPARTURES = 256

/**
 * The actors of one shard, least recently used first. An actor is made by the first command that asks for it and
 * found by all others (G8); it goes after idle time or under the cap, never with work in hand (G10).
 */
export class ActorRegistry {
  readonly #actors = new Map<string, Actor>()
  readonly #options: RegistryOptions

  constructor(options: RegistryOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#actors.size
  }

  values(): IterableIterator<Actor> {
    return this.#actors.values()
  }

  peek(convoId: string): Actor | undefined {
    return this.#actors.get(convoId)
  }

  /** The actor of a conversation, now the most recently used. */
  activate(convoId: string, nowMs: number): Actor {
    const actor = this.#actors.get(convoId) ?? new Actor(convoId, nowMs)
    actor.lastActiveMs = nowMs
    this.#actors.delete(convoId)
    this.#actors.set(convoId, actor)
    return actor
  }

  /** Called when an actor has nothing left to do: lets go of what need not stay. */
  release(actor: Actor): void {
    if (!actor.isIdle) return
    if (actor.isLeaving) this.stop(actor, 'operator')
    else if (!actor.state && !actor.isStarted) this.stop(actor, 'absent')
    else if ((actor.state?.left?.length ?? 0) > MAX_DEPARTURES) actor.state = undefined
    this.#evict()
  }

  /** Passivates what has been idle for long. */
  sweep(nowMs: number): void {
    for (const actor of this.#actors.values()) {
      if (nowMs - actor.lastActiveMs < this.#options.idleMs) return
      if (actor.isIdle) this.stop(actor, 'idle')
    }
  }

  /** Passivates one at an operator's wish: at once, or when the work that it has in hand is done (G10). */
  passivate(convoId: string): Passivation {
    const actor = this.#actors.get(convoId)
    if (!actor) return 'absent'
    actor.isLeaving = true
    if (!actor.isIdle) return 'leaving'
    this.stop(actor, 'operator')
    return 'passivated'
  }

  stop(actor: Actor, reason: StopReason): void {
    if (this.#actors.get(actor.convoId) !== actor) return
    this.#actors.delete(actor.convoId)
    if (actor.isStarted) this.#options.onStop(actor.convoId, reason)
  }

  #evict(): void {
    for (const actor of this.#actors.values()) {
      if (this.#actors.size <= this.#options.maxResident) return
      if (actor.isIdle) this.stop(actor, 'evicted')
    }
  }
}
