import { sha256Hex } from '@catbird/shared/bytes'
import type { Command } from '@catbird/shared/commands'
import { describe, expect, it } from 'vitest'
import { checkHistory } from './check-history.ts'
import { describe as describeExchange } from './convo-log.ts'
import { Explorer } from './explorer.ts'
import { type CallName, kindsFor } from './failure-plan.ts'
import { type Step, settled } from './scheduler.ts'
import { type OwnerKind, POLICY, SimWorld } from './sim-world.ts'
import { storedDatabase } from './stored-database.ts'

const CONVO = '0a'
/** How many of an owner's waits may end while somebody is writing; later ones last until nobody is. */
const OVERTAKES = 1

type Case = { owners: OwnerKind[]; commands: [owner: number, command: Command][]; failures: number }

function base(name: string, caller: string) {
  return { convoId: CONVO, caller, requestId: name, deadlineMs: Number.MAX_SAFE_INTEGER, size: 10 }
}

function commit(name: string, caller: string, epoch: number): Command {
  const bytes = Buffer.from(name)
  const input = { bytes, sha256: sha256Hex(bytes), epoch }
  return { ...base(name, caller), type: 'addMembers', dids: [], keyPackages: [], commit: input }
}

function send(name: string, caller: string, epoch: number): Command {
  const bytes = Buffer.from(name)
  return { ...base(name, caller), type: 'sendMessage', bytes, sha256: sha256Hex(bytes), epoch }
}

function leave(name: string, caller: string): Command {
  return { ...base(name, caller), type: 'leaveConvo', target: caller }
}

const CREATE: Command = {
  ...base('create', 'alice'),
  type: 'createConvo',
  cipherSuite: 'suite',
  initialMembers: ['bob', 'carol'],
  keyPackages: [],
  epoch: 0,
}

class SmallWorld {
  runs = 0
  pruned = 0
  deepest = 0
  failed = 0
  readonly #case: Case
  readonly #explorer = new Explorer()

  constructor(smallCase: Case) {
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
    void world.submit(0, CREATE)
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
    // A write held beyond all patience is one lost whose owner gives up first, which time alone decides.
    const kinds = kindsFor(call).filter((kind) => kind !== 'held')
    return [undefined, ...kinds][this.#explorer.pick(kinds.length + 1)]
  }

  async #finish({ scheduler }: SimWorld, trace: string[]): Promise<boolean> {
    const overtakes = new Map<string, number>()
    for (;;) {
      await settled()
      const possible = scheduler.pending.filter((step) => step.isReady?.() ?? true)
      if (possible.length === 0) return true
      const isWriting = possible.some(({ touches }) => touches === 'writes')
      const isDue = ({ action, owner }: Step) =>
        action !== 'timer' || !isWriting || (overtakes.get(owner) ?? 0) < OVERTAKES
      const step = this.#explorer.choose(possible.filter(isDue))
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
      ...history.filter(({ reply }) => !reply).map((exchange) => `${describeExchange(exchange)}: hangs`),
      ...checkHistory(history, storedDatabase(database), { ...POLICY, mustNameWinners: isFailureFree }),
    ]
    return problems.length > 0 ? [...problems, ...trace] : []
  }
}

const RIVALS: Case['commands'] = [
  [0, commit('commit 1', 'alice', 0)],
  [0, send('message', 'alice', 0)],
  [1, commit('commit 2', 'bob', 0)],
  [1, leave('departure', 'carol')],
]

describe('small world, explored completely', () => {
  it.each<[string, Case]>([
    ['two actors, no failure', { owners: ['actor', 'actor'], commands: RIVALS, failures: 0 }],
    ['actor and direct executor, no failure', { owners: ['actor', 'direct'], commands: RIVALS, failures: 0 }],
    ['two actors, one failure', { owners: ['actor', 'actor'], commands: RIVALS, failures: 1 }],
    [
      'actor and direct executor, one failure',
      { owners: ['actor', 'direct'], commands: RIVALS, failures: 1 },
    ],
  ])(
    'two commits for one epoch, a message and a departure: %s',
    { timeout: 300_000 },
    async (name, smallCase) => {
      const world = new SmallWorld(smallCase)
      const startedMs = performance.now()
      const problems = await world.explore()
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
      const { runs, pruned, deepest, failed } = world
      console.log(
        `${name}: all ${runs} schedules (${failed} with a failure, ${pruned} cut as repeats), up to ${deepest} steps, ${seconds} s`,
      )
      expect(problems).toEqual([])
    },
  )
})
