import { checkHistory } from './check-history.ts'
import { CommandMaker, publishedKeyPackages } from './command-maker.ts'
import { describe } from './convo-log.ts'
import { type CallName, type FailureKind, type FailurePlan, kindsFor } from './failure-plan.ts'
import { Random } from './random.ts'
import type { Choose, Step } from './scheduler.ts'
import { POLICY, SimWorld } from './sim-world.ts'
import { storedDatabase } from './stored-database.ts'

export type HistoryOptions = { commands: number; failures: number; direct: boolean }
export type HistoryResult = { world: SimWorld; problems: string[]; injected: string[] }

/** Clients at once; each waits for its replies before it goes on. */
const CLIENTS = 8
/** How often a wait is over before what else could happen has happened. */
const IMPATIENCE = 0.03

/** One history from one seed: two owners, three conversations, many clients, some failures. */
export async function runHistory(seed: number, options: HistoryOptions): Promise<HistoryResult> {
  const random = new Random(seed)
  const injected: string[] = []
  const world = new SimWorld({
    owners: ['actor', options.direct ? 'direct' : 'actor'],
    seed: random.int(2 ** 31),
    failures: randomFailures(random, options, injected),
    msPerStep: 1,
    skewMs: [0, random.int(5) * 100 - 200],
    keyPackages: publishedKeyPackages(),
    limits: random.chance(0.2) ? { batchRows: 3 } : {},
  })
  const maker = new CommandMaker(random, world.database, () => world.scheduler.nowMs + 200)
  for (let client = 0; client < CLIENTS; client++) void runClient(world, maker, random, options.commands)
  await world.scheduler.run(randomOrder(world, random))
  return { world, problems: findProblems(world, injected), injected }
}

async function runClient(
  world: SimWorld,
  maker: CommandMaker,
  random: Random,
  commands: number,
): Promise<void> {
  while (world.history.length < commands) {
    await new Promise<void>((resolve) => {
      world.scheduler.add({ owner: 'client', action: 'request', touches: 'writes', run: resolve })
    })
    const requests = maker.next()
    await Promise.all(requests.map((command) => world.submit(random.int(2), command)))
    if (random.chance(0.05)) world.shard(0).sweep()
    if (random.chance(0.05)) passivateAll(world.shard(0))
  }
}

/** As an operator may at any time. */
function passivateAll({ actors }: ReturnType<SimWorld['shard']>): void {
  for (const { convoId } of [...actors.values()]) actors.passivate(convoId)
}

function randomOrder({ scheduler }: SimWorld, random: Random): Choose {
  return (ready: Step[]) => {
    if (random.chance(IMPATIENCE)) {
      const waiting = scheduler.pending.find((step) => step.action === 'timer')
      if (waiting) return Math.max(0, ready.indexOf(waiting))
    }
    return random.int(ready.length)
  }
}

/** Failures at random calls; those of writes matter most. */
function randomFailures(
  random: Random,
  { failures, commands }: HistoryOptions,
  injected: string[],
): FailurePlan {
  const isWrite = random.chance(0.8)
  const plan = new Set<number>()
  while (plan.size < failures) plan.add(random.int(commands / 2))
  let calls = 0
  return (_owner: string, call: CallName): FailureKind | undefined => {
    if (isWrite && call !== 'write' && call !== 'locked') return undefined
    if (!plan.has(calls++)) return undefined
    const kind = random.pick(kindsFor(call))
    injected.push(`${call} ${kind}`)
    return kind
  }
}

function findProblems(world: SimWorld, injected: string[]): string[] {
  const { history, database } = world
  const hanging = history.filter(({ reply }) => !reply).map((exchange) => `${describe(exchange)}: hangs`)
  const held = [...database.convos].filter(([, { holder, inserter }]) => holder || inserter)
  const mustNameWinners = injected.length === 0
  return [
    ...database.faults,
    ...hanging,
    ...held.map(([convoId]) => `${convoId}: its row is still held`),
    ...checkHistory(history, storedDatabase(database), { ...POLICY, mustNameWinners }),
  ]
}
