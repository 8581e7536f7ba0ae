/** Lets a bounded number of lookups run and a bounded number wait, first come first served. */
export class LookupSlots {
  #free: number
  readonly #maxWaiting: number
  /** In the order of arrival. */
  readonly #waiting = new Set<() => void>()

  constructor(count: number, maxWaiting: number) {
    this.#free = count
    this.#maxWaiting = maxWaiting
  }

  /** Throws when too many wait already, or when the signal comes first. Whoever got a slot must `release` it. */
  async take(signal: AbortSignal): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1
      return
    }
    if (this.#waiting.size >= this.#maxWaiting) throw new Error('too many identity lookups are waiting')
    await new Promise<void>((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = () => {
        this.#waiting.delete(enter)
        reject(signal.reason)
      }
      signal.addEventListener('abort', giveUp, { once: true })
      this.#waiting.add(enter)
    })
  }

  release(): void {
    const [next] = this.#waiting
    if (!next) {
      this.#free += 1
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
