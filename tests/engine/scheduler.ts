/**
 * One thing that may happen next. `touches` says what it has to do with the shared database: two steps of different
 * owners can change places unless both touch it and one of them writes, or one touches everything.
 */
export type Step = {
  owner: string
  /** Given by the scheduler: the same in every order of other owners' steps. */
  id?: string
  /** What happens, as `call.phase`: `write.commit`, `load.reply`. */
  action: string
  touches: 'nothing' | 'reads' | 'writes' | 'everything'
  run(): void
  /** Absent: ready at once. */
  isReady?: () => boolean
  /** Goes on although its connection is lost and nobody hears of it. */
  isOrphan?: boolean
  /** World time in ms before which it does not happen unless nothing else can. */
  notBeforeMs?: number
}

/** Index of the step to take among those that are ready. */
export type Choose = (ready: Step[]) => number

/**
 * Resolves when all promise callbacks have run that could. Ticks run after the microtask queue is empty, if they
 * were asked for from within it; the first line makes sure of that.
 */
export async function settled(): Promise<void> {
  await null
  return new Promise((resolve) => process.nextTick(resolve))
}

/** The order of everything in a simulated world: what is pending, and what happens next. */
export class Scheduler {
  /** Number of steps taken: the logical time. */
  time = 0
  /** World time, Unix ms. */
  nowMs = Date.UTC(2026, 0, 1)
  readonly #msPerStep: number
  #steps: Step[] = []
  readonly #counts = new Map<string, number>()

  constructor(msPerStep: number) {
    this.#msPerStep = msPerStep
  }

  get pending(): readonly Step[] {
    return this.#steps
  }

  add(step: Step): void {
    const count = this.#counts.get(step.owner) ?? 0
    this.#counts.set(step.owner, count + 1)
    step.id = `${step.owner}${count}`
    this.#steps.push(step)
  }

  /** Lets what can happen by itself happen, then takes one step; false when there is none to take. */
  async advance(choose: Choose): Promise<boolean> {
    await settled()
    const ready = this.ready()
    if (ready.length === 0) return false
    this.take(ready[ready.length === 1 ? 0 : choose(ready)]!)
    return true
  }

  async run(choose: Choose): Promise<void> {
    while (await this.advance(choose));
  }

  take(step: Step): void {
    this.#steps.splice(this.#steps.indexOf(step), 1)
    this.time++
    this.nowMs = Math.max(this.nowMs + this.#msPerStep, step.notBeforeMs ?? 0)
    step.run()
  }

  /** Time passes: when nothing is ready now, the next thing that waits for a time is. */
  ready(): Step[] {
    const possible = this.#steps.filter((step) => step.isReady?.() ?? true)
    const now = possible.filter(({ notBeforeMs = 0 }) => notBeforeMs <= this.nowMs)
    if (now.length > 0 || possible.length === 0) return now
    return [possible.reduce((a, b) => (b.notBeforeMs! < a.notBeforeMs! ? b : a))]
  }
}
