import type { LockedTransaction } from '@catbird/shard-worker/store/execute-locked'
import type { Begin } from '@catbird/shard-worker/store/run-locked'
import type { Unit } from '@catbird/shard-worker/store/store'
import type { FailureKind } from './failure-plan.ts'
import type { SimStore } from './sim-store.ts'
import { SimTransaction } from './sim-transaction.ts'

/** Transactions of single commands: every statement is a step, and each try may fail on the way. */
export function beginInSteps(store: SimStore): Begin {
  return async (run) => {
    const failure = store.failure('locked')
    if (failure === 'unavailable' || failure === 'never') await store.reply('locked', failure)
    const locked = new SteppedTransaction(store, failure)
    try {
      const result = await run(locked)
      await locked.commit()
      return result
    } catch (error) {
      locked.rollBack()
      throw error
    }
  }
}

class SteppedTransaction implements LockedTransaction {
  readonly #store: SimStore
  readonly #transaction: SimTransaction
  readonly #failure: FailureKind | undefined
  #isOnItsOwn = false

  constructor(store: SimStore, failure: FailureKind | undefined) {
    this.#store = store
    this.#transaction = new SimTransaction(store.options.database)
    this.#failure = failure
  }

  lock(convoId: string): Promise<void> {
    const convo = this.#store.options.database.convo(convoId)
    const isReady = () => !convo.holder || convo.holder === this.#transaction
    return this.#store.step('locked.lock', 'writes', () => this.#transaction.lock(convo), { isReady })
  }

  load(convoIds: string[]) {
    // What is read of a row that is held cannot change: only where there is none does the moment matter.
    const touches = this.#transaction.holdsRow ? 'nothing' : 'reads'
    return this.#store.step('locked.load', touches, () => this.#store.options.database.load(convoIds))
  }

  facts(keys: Parameters<LockedTransaction['facts']>[0]) {
    return this.#store.factsInSteps('locked', keys)
  }

  inspect(keys: Parameters<LockedTransaction['inspect']>[0]) {
    return this.#store.step('locked.inspect', 'reads', () => this.#store.options.database.inspect(keys))
  }

  /** The write is what its transaction stands or falls with; a lost connection is noticed here. */
  async write(units: Unit[]): Promise<Set<string>> {
    const written = this.#store.commitInSteps('locked', this.#transaction, units, this.#failure)
    if (this.#failure === 'lost' || this.#failure === 'held') {
      this.#isOnItsOwn = true
      written.catch(() => {})
      await this.#store.reply('locked', this.#failure)
    }
    return written
  }

  async commit(): Promise<void> {
    this.#transaction.end()
    const isLost = this.#failure === 'lost' || this.#failure === 'held'
    await this.#store.reply('locked', isLost ? this.#failure : undefined)
  }

  rollBack(): void {
    if (!this.#isOnItsOwn) this.#transaction.end()
  }
}
