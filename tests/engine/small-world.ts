import type { Command } from '@catbird/shared/commands'
import { checkHistory } from './check-history.ts'
import { describe } from './convo-log.ts'
import { Explorer } from './explorer.ts'
import { type CallName, WRITE_FAILURES } from './failure-plan.ts'
import { type Step, settled } from './scheduler.ts'
import { type OwnerKind, POLICY, SimWorld } from './sim-world.ts'
import { storedDatabase } from './stored-database.ts'

/** How many of an owner's waits may end while something else can happen; later ones last until nothing can. */
const OVERTAKES = 1

export type SmallCase = {
  owners: OwnerKind[]
  /** What happens before anything else can. */
  before: Command
  commands: [owner: number, command: Command][]
  failures: number
}

/** Every order of the steps of a few commands, with every failure at every call. */
export class SmallWorld {
  runs = 0
  pruned = 0
  deepest = 0
  failed = 0
  readonly #case: SmallCase
  readonly #explorer = new Explorer()

  constructor(smallCase: SmallCase) {
    this.#case = smallCase
  }

  /** Runs the case in every order and with every failure; returns what the first faulty run did wrong. */
  async explore(): Promise<string[]> {
    do {
      const problems = await this.#run()
      if (problems.length > 0) return problems
      if (this.runs % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
    } while (this.#explorer.next())
    return []
  }

  async #run(): Promise<string[]> {
    const trace: string[] = []
    let left = 0
    const world = new SimWorld({
      owners: this.#case.owners,
      failures: (owner, call) => {
        if (left === 0) return undefined
        const kind = this.#pickFailure(call)
        if (kind) {
          left--
          trace.push(`${owner}: ${call} ${kind}`)
        }
        return kind
      },
    })
    void world.submit(0, this.#case.before)
    await world.scheduler.run(() => 0)
    left = this.#case.failures
    for (const [owner, command] of this.#case.commands) void world.submit(owner, command)
    const isComplete = await this.#finish(world, trace)
    if (!isComplete) {
      this.pruned++
      return []
    }
    this.runs++
    this.failed += this.#case.failures - left
    this.deepest = Math.max(this.deepest, world.scheduler.time)
    return this.#check(world, left === this.#case.failures, trace)
  }

  #pickFailure(call: CallName) {
    const isRead = call !== 'write' && call !== 'locked'
    // Failed reads are all alike to their owner; a held write is a lost one whose owner gives up first.
    const kinds = isRead ? ['lost' as const] : WRITE_FAILURES.filter((kind) => kind !== 'held')
    return [undefined, ...kinds][this.#explorer.pick(kinds.length + 1)]
  }

  async #finish({ scheduler }: SimWorld, trace: string[]): Promise<boolean> {
    const overtakes = new Map<string, number>()
    for (;;) {
      await settled()
      const possible = scheduler.pending.filter((step) => step.isReady?.() ?? true)
      if (possible.length === 0) return true
      const isQuiet = possible.every(({ action }) => action === 'timer')
      const mayOvertake = ({ owner }: Step) => (overtakes.get(owner) ?? 0) < OVERTAKES
      const isDue = (step: Step) => step.action !== 'timer' || isQuiet || mayOvertake(step)
      // When a wait that must not overtake is over depends on everybody.
      for (const step of possible)
        if (step.action === 'timer' && !mayOvertake(step)) step.touches = 'everything'
      const step = this.#explorer.choose(possible.filter(isDue), scheduler.pending)
      if (!step) return false
      const { action, owner } = step
      if (action === 'timer') overtakes.set(owner, (overtakes.get(owner) ?? 0) + 1)
      trace.push(`${owner}: ${action}`)
      scheduler.take(step)
    }
  }

  #check(world: SimWorld, isFailureFree: boolean, trace: string[]): string[] {
    const { history, database } = world
    const problems = [
      ...database.faults,
      ...history.filter(({ reply }) => !reply).map((exchange) => `${describe(exchange)}: hangs`),
      ...checkHistory(history, storedDatabase(database), { ...POLICY, mustNameWinners: isFailureFree }),
    ]
    return problems.length > 0 ? [...problems, ...trace] : []
  }
}
