import type { Refused } from '../conversation/decision.ts'
import { withWinner } from '../conversation/epoch.ts'
import { type Store, StoreError } from '../store/store.ts'
import type { Actor } from './actor.ts'
import { type Pending, settleRefused } from './pending.ts'

/** A refusal that rests on a version which the database must still have. */
export type WaitingRefusal = { actor: Actor; pending: Pending; refused: Refused; version: number }

/**
 * Releases refusals. Another process or the direct executor may have moved the conversation on since the state was
 * read, so none leaves before a read that was made after it was decided; all that wait share one read.
 */
export class RefusalConfirmer {
  readonly #store: Store
  readonly #onStale: (waiting: WaitingRefusal) => void
  #queue: WaitingRefusal[] = []
  #isRunning = false

  constructor(store: Store, onStale: (waiting: WaitingRefusal) => void) {
    this.#store = store
    this.#onStale = onStale
  }

  add(waiting: WaitingRefusal): void {
    this.#queue.push(waiting)
  }

  /** Starts confirming what waits, unless that goes on already. */
  run(): void {
    if (this.#isRunning || this.#queue.length === 0) return
    this.#isRunning = true
    void this.#confirm(this.#queue.splice(0)).finally(() => {
      this.#isRunning = false
      this.run()
    })
  }

  async #confirm(waiting: WaitingRefusal[]): Promise<void> {
    try {
      const seen = await this.#store.inspect(
        waiting.map(({ actor, refused }) => ({ convoId: actor.convoId, winnerOf: refused.winnerOf })),
      )
      for (const [i, entry] of waiting.entries()) {
        const { version, winner } = seen[i]!
        if (version !== entry.version) this.#onStale(entry)
        else {
          const { refusal } = entry.refused
          entry.pending.settle({ ok: false, refusal: winner ? withWinner(refusal, winner) : refusal })
        }
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      for (const { pending } of waiting) {
        settleRefused(pending, 'DatabaseUnavailable', 'the database cannot be reached')
      }
    }
  }
}
