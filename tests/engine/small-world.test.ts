import { sha256Hex } from '@catbird/shared/bytes'
import type { Command } from '@catbird/shared/commands'
import { describe, expect, it } from 'vitest'
import { checkHistory } from './check-history.ts'
import { describe as describeExchange } from './convo-log.ts'
import { Explorer } from './explorer.ts'
import { type CallName, WRITE_FAILURES } from './failure-plan.ts'
import { type Step, settled } from './scheduler.ts'
import { type OwnerKind, POLICY, SimWorld } from './sim-world.ts'
import { storedDatabase } from './stored-database.ts'

const CONVO = '0a'
/** How many of an owner's waits may end while something else can happen; later ones last until nothing can. */
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

function create(name: string, caller: string, convoId: string, key?: string): Command {
  const idempotency = key === undefined ? undefined : { key, contentHash: `content of ${key}` }
  const common = { ...base(name, caller), convoId, idempotency, initialMembers: ['bob', 'carol'] }
  return { ...common, type: 'createConvo', cipherSuite: 'suite', keyPackages: [], epoch: 0 }
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
    void world.submit(0, create('creation', 'alice', CONVO))
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
      ...history.filter(({ reply }) => !reply).map((exchange) => `${describeExchange(exchange)}: hangs`),
      ...checkHistory(history, storedDatabase(database), { ...POLICY, mustNameWinners: isFailureFree }),
    ]
    return problems.length > 0 ? [...problems, ...trace] : []
  }
}

const COMMITS: Case['commands'] = [
  [0, commit('commit 1', 'alice', 0)],
  [0, send('message', 'alice', 0)],
  [1, commit('commit 2', 'bob', 0)],
  [1, leave('departure', 'carol')],
]

const CREATIONS: Case['commands'] = [
  [0, create('creation 1', 'alice', '0b', 'key')],
  [0, create('creation 1 again', 'alice', '0b', 'key')],
  [1, create('creation 1 elsewhere', 'alice', '0b', 'key')],
  [1, create('creation 2', 'bob', '0b')],
]

describe('small world, explored completely', () => {
  const worlds = {
    'two commits for one epoch, a message and a departure': COMMITS,
    'four creations': CREATIONS,
  }
  const pairs: OwnerKind[][] = [
    ['actor', 'actor'],
    ['actor', 'direct'],
  ]
  const cases = Object.entries(worlds).flatMap(([what, commands]) =>
    pairs.flatMap((owners) => [0, 1].map((failures) => ({ what, owners, commands, failures }))),
  )

  it.each(cases)('$what, owners $owners, failures $failures', { timeout: 300_000 }, async (smallCase) => {
    const world = new SmallWorld(smallCase)
    const startedMs = performance.now()
    const problems = await world.explore()
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    const { runs, pruned, deepest, failed } = world
    const how = `${failed} with a failure, ${pruned} cut as repeats, up to ${deepest} steps, ${seconds} s`
    console.log(`${smallCase.what}, ${smallCase.owners}: all ${runs} schedules (${how})`)
    expect(problems).toEqual([])
  })
})
