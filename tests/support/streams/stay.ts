import type { Random } from '../../engine/random.ts'
import type { StreamEvent } from './event-check.ts'

const MAX_EVENTS = 3000
const MAX_MS = 12_000

/** How long a reader stays on one connection: for some events, or some time, or until it is told to leave. */
export class Stay {
  /** Resolves when it leaves. */
  readonly over: Promise<void>
  readonly #timer: NodeJS.Timeout
  readonly #mayLeave: () => boolean
  readonly #endsCaughtUp: boolean
  #events: number
  #isOver = false
  #resolve = () => {}

  /** @param mayLeave whether it leaves of its own accord when the time has come */
  constructor(random: Random, mayLeave: () => boolean) {
    this.over = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#mayLeave = mayLeave
    this.#endsCaughtUp = random.chance(0.12)
    this.#events = random.chance(0.05) ? 0 : 1 + Math.floor(random.next() ** 2 * MAX_EVENTS)
    this.#timer = setTimeout(() => this.#leaveIfItMay(), random.next() ** 2 * MAX_MS)
    if (this.#events === 0) this.#leaveIfItMay()
  }

  get isOver(): boolean {
    return this.#isOver
  }

  leave(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#resolve()
  }

  note(event: StreamEvent): void {
    const isCaughtUp = event.type === 'infoEvent' && event.info === 'caughtUp'
    if (--this.#events <= 0 || (this.#endsCaughtUp && isCaughtUp)) this.#leaveIfItMay()
  }

  #leaveIfItMay(): void {
    if (this.#mayLeave()) this.leave()
  }
}
