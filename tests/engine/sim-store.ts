import type { Policy } from '@catbird/shard-worker/conversation/decision'
import type { FactKeys, Facts } from '@catbird/shard-worker/conversation/facts'
import type { ConvoState } from '@catbird/shard-worker/conversation/state'
import { runLocked } from '@catbird/shard-worker/store/run-locked'
import {
  type Inspection,
  type InspectionKey,
  type LockedResult,
  type Store,
  StoreError,
  type Unit,
} from '@catbird/shard-worker/store/store'
import type { Clock } from '@catbird/shared/clock'
import type { Command } from '@catbird/shared/commands'
import type { CallName, FailureKind, FailurePlan } from './failure-plan.ts'
import type { Scheduler, Step } from './scheduler.ts'
import type { SimDatabase } from './sim-database.ts'
import { beginInSteps } from './sim-locked.ts'
import { SimTransaction } from './sim-transaction.ts'

export type SimStoreOptions = {
  owner: string
  database: SimDatabase
  scheduler: Scheduler
  failures: FailurePlan
  clock: Clock
  policy: Policy
  /** Told of the logical time of what an answer rests on, when it arrives. */
  onSeen(time: number): void
}

/** Longer than anybody looks for the outcome of a lost write. */
const HELD_MS = 60_000

/** Needs nothing but its conversation's row. */
function isPlain({ changes }: Unit): boolean {
  return changes.every(
    ({ record, tokenUse, keyPackages }) => !record && !tokenUse && keyPackages.length === 0,
  )
}

/** The store of one owner: every call is a chain of steps that the scheduler takes when it likes. */
export class SimStore implements Store {
  readonly options: SimStoreOptions
  /** Calls made, by name. */
  readonly calls: Record<CallName, number> = { load: 0, facts: 0, inspect: 0, write: 0, locked: 0 }

  constructor(options: SimStoreOptions) {
    this.options = options
  }

  load(convoIds: string[]): Promise<Map<string, ConvoState>> {
    return this.#read('load', () => this.options.database.load(convoIds))
  }

  inspect(keys: InspectionKey[]): Promise<Inspection[]> {
    return this.#read('inspect', () => this.options.database.inspect(keys))
  }

  async facts(keys: FactKeys[]): Promise<Facts[]> {
    const failure = this.failure('facts')
    const facts = failure === 'unavailable' ? [] : await this.factsInSteps('facts', keys)
    await this.reply('facts', failure)
    return facts
  }

  async write(units: Unit[]): Promise<Set<string>> {
    const failure = this.failure('write')
    if (failure === 'unavailable' || failure === 'never') return this.reply('write', failure) as never
    const copy = units.map((unit) => ({ ...unit, changes: [...unit.changes] }))
    const result = this.commitInSteps('write', new SimTransaction(this.options.database), copy, failure)
    if (failure === 'lost' || failure === 'held') {
      result.catch(() => {})
      return this.reply('write', failure) as never
    }
    const outcome = await result.catch((error: unknown) => error)
    await this.reply('write')
    if (outcome instanceof Set) return outcome
    throw outcome
  }

  executeLocked(command: Command, entryId: string): Promise<LockedResult> {
    return runLocked(beginInSteps(this), command, entryId, this.options)
  }

  /** Each kind of fact is a statement of its own, with a snapshot of its own. */
  async factsInSteps(call: CallName, keys: FactKeys[]): Promise<Facts[]> {
    const facts: Facts[] = keys.map(() => ({ keyPackages: [], formerMembers: [] }))
    for (const read of this.options.database.factReads(keys, facts)) {
      await this.step(`${call}.snapshot`, 'reads', read)
    }
    return facts
  }

  failure(call: CallName): FailureKind | undefined {
    this.calls[call]++
    return this.options.failures(this.options.owner, call)
  }

  /** Takes a transaction to its end, whether or not anybody still listens. */
  async commitInSteps(
    call: 'write' | 'locked',
    transaction: SimTransaction,
    units: Unit[],
    failure?: FailureKind,
  ): Promise<Set<string>> {
    const { scheduler } = this.options
    const isOrphan = failure === 'lost' || failure === 'held'
    try {
      const prepare = () => {
        transaction.prepare(units)
        return transaction.acquire()
      }
      const needsNothing = transaction.holdsRow && units.every(isPlain)
      const touches = needsNothing ? 'nothing' : 'writes'
      let blocker = await this.step(`${call}.prepare`, touches, prepare, { isOrphan })
      while (blocker) {
        const holder = blocker
        const when = { isOrphan, isReady: () => holder.isDone }
        blocker = await this.step(`${call}.acquire`, 'writes', () => transaction.acquire(), when)
      }
      const notBeforeMs = failure === 'held' ? scheduler.nowMs + HELD_MS : undefined
      const commit = () => {
        if (failure === 'rolledBack') throw new StoreError('rolledBack', 'injected')
        return transaction.commit(scheduler.time)
      }
      return await this.step(`${call}.commit`, 'writes', commit, { isOrphan, notBeforeMs })
    } finally {
      transaction.end()
    }
  }

  /** One step; what `run` returns or throws is what the promise does. The owner learns of it with `reply`. */
  step<T>(
    action: string,
    touches: Step['touches'],
    run: () => T,
    when?: Pick<Step, 'isReady' | 'notBeforeMs' | 'isOrphan'>,
  ): Promise<T> {
    const { owner, scheduler } = this.options
    return new Promise((resolve, reject) => {
      const take = () => {
        try {
          resolve(run())
        } catch (error) {
          reject(error)
        }
      }
      // A backend that nobody listens to goes its own way.
      const actor = when?.isOrphan ? `${owner}~` : owner
      scheduler.add({ owner: actor, action, touches, run: take, ...when })
    })
  }

  /** The way back to the owner; `failure` is what it hears instead. */
  async reply(call: CallName, failure?: FailureKind): Promise<void> {
    const { scheduler, onSeen } = this.options
    const restsOn = scheduler.time
    await this.step(`${call}.reply`, 'nothing', () => {
      if (failure === 'unavailable') throw new StoreError('unavailable', 'injected')
      if (failure && failure !== 'rolledBack') throw new StoreError('unknown', 'injected')
      onSeen(restsOn)
    })
  }

  async #read<T>(call: CallName, run: () => T): Promise<T> {
    const failure = this.failure(call)
    let result: T | undefined
    if (failure !== 'unavailable') {
      await this.step(`${call}.snapshot`, 'reads', () => {
        result = run()
      })
    }
    await this.reply(call, failure)
    return result as T
  }
}
