import { factKeys } from '../conversation/decide.ts'
import type { FactKeys, Facts } from '../conversation/facts.ts'
import type { Store } from '../store/store.ts'
import type { Actor } from './actor.ts'
import type { Pending } from './pending.ts'

/** What one actor has decided in one tick: commands in order, and the facts of those that need any. */
export type Turn = {
  actor: Actor
  pendings: Pending[]
  facts: (Facts | undefined)[]
  /** Commands whose claims were held when the reads began: the facts may be older than what came of those. */
  claimed: Set<Pending>
}

/** Takes an actor's next commands, and notes which of them need something that is staged already. */
export function beginTurn(actor: Actor, maxCommands: number, isClaimed: (pending: Pending) => boolean): Turn {
  const pendings = actor.take(maxCommands)
  return { actor, pendings, facts: [], claimed: new Set(pendings.filter(isClaimed)) }
}

/** Why a command cannot be decided now: its state must be read again, others must finish, it needs the lock. */
export type Obstacle = 'reread' | 'wait' | 'lock'

/** Reads all that the turns of a tick rest on: states not in memory first, then the facts of all commands. */
export async function readTurns(store: Store, turns: Turn[]): Promise<void> {
  await readStates(store, turns)
  await readFacts(store, turns)
}

async function readStates(store: Store, turns: Turn[]): Promise<void> {
  const cold = turns.map(({ actor }) => actor).filter(({ state }) => state === undefined)
  if (cold.length === 0) return
  const states = await store.load(cold.map(({ convoId }) => convoId))
  for (const actor of cold) actor.state = states.get(actor.convoId) ?? null
}

async function readFacts(store: Store, turns: Turn[]): Promise<void> {
  const wanted: { turn: Turn; i: number; keys: FactKeys }[] = []
  for (const turn of turns) {
    for (const [i, { command, lostGuards }] of turn.pendings.entries()) {
      const keys = factKeys(turn.actor.state ?? null, command, lostGuards > 0)
      if (keys) wanted.push({ turn, i, keys })
    }
  }
  if (wanted.length === 0) return
  const facts = await store.facts(wanted.map(({ keys }) => keys))
  for (const [k, { turn, i }] of wanted.entries()) turn.facts[i] = facts[k]
}
