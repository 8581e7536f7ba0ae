// Usage: npm run mutants [-- --only <pattern>]
// Plants faults, one at a time, in a copy of the workspace and runs the test that must notice each. Fails when a
// fault survives, when its place in the code is not found, or when its test fails without it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startTemporaryPostgres } from '@catbird/api/database/temporary-postgres'
import { applyEdits, type Killer, type Mutant } from './mutant.ts'
import { MUTANTS } from './mutants.ts'
import type { KillerRun } from './run-killer.ts'
import { Workbench } from './workbench.ts'

/** Faults that are tried at once, each in a copy of its own. */
const COPIES = 2

const root = fileURLToPath(new URL('../..', import.meta.url))
const { only = '' } = parseArgs({ options: { only: { type: 'string' } } }).values
const mutants = MUTANTS.filter(({ name }) => new RegExp(only, 'i').test(name))

process.exitCode = allArePlaced() && (await tryAll()) ? 0 : 1

/** The code changes: a fault whose place is gone must be planted elsewhere. */
function allArePlaced(): boolean {
  const errors = mutants.flatMap((mutant) => {
    try {
      applyEdits(readFileSync(join(root, mutant.file), 'utf8'), mutant)
      return []
    } catch (error) {
      return [`${mutant.name}: ${(error as Error).message}`]
    }
  })
  if (mutants.length === 0) errors.push(`no fault is named like ${only}`)
  for (const error of errors) console.log(error)
  return errors.length === 0
}

async function tryAll(): Promise<boolean> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const report = (details: object, message: string) => console.error(message, details)
  const server = await startTemporaryPostgres(
    { info: () => {}, warn: report, error: report },
    { max_connections: '300' },
  )
  const benches: Workbench[] = []
  try {
    for (let i = 0; i < COPIES; i++) benches.push(await Workbench.create(root, server.url, i))
    return (await killersPass(benches)) && (await allDie(benches))
  } finally {
    for (const bench of benches) bench.remove()
    await server.stop()
  }
}

/** Without a fault every killer passes: what fails anyway kills nothing. */
async function killersPass(benches: Workbench[]): Promise<boolean> {
  const killers = new Map(mutants.map(({ killer }) => [JSON.stringify(killer), killer]))
  let isGood = true
  await inParallel(benches, [...killers.values()], async (bench, killer) => {
    const { outcome, detail } = await bench.run(killer)
    if (outcome === 'passed') return
    isGood = false
    console.log(`without a fault ${describe(killer)} is ${outcome}: ${detail}`)
  })
  return isGood
}

async function allDie(benches: Workbench[]): Promise<boolean> {
  const startedMs = performance.now()
  const survivors: Mutant[] = []
  printRow('fault', 'killed by', 'seconds')
  await inParallel(benches, mutants, async (bench, mutant) => {
    const run = await bench.runWithFault(mutant)
    const isKilled = run.outcome === 'failed' || run.outcome === 'timeout'
    if (!isKilled) survivors.push(mutant)
    const verdict = isKilled ? killedBy(mutant.killer, run) : `NOT KILLED, its test is ${run.outcome}`
    printRow(mutant.name, verdict, run.seconds.toFixed(1))
  })
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0)
  console.log(`\n${mutants.length - survivors.length} of ${mutants.length} faults killed, ${seconds} s`)
  for (const { name, file, killer } of survivors) {
    console.log(`NOT KILLED: ${name} (${file}) by ${describe(killer)}`)
  }
  return survivors.length === 0
}

function printRow(...[name, verdict, seconds]: [string, string, string]): void {
  const width = Math.max(...mutants.map((mutant) => mutant.name.length))
  console.log(`${name.padEnd(width)} | ${verdict} | ${seconds}`)
}

function killedBy({ test }: Killer, { outcome, detail }: KillerRun): string {
  const file = test.split('/').at(-1)
  return outcome === 'timeout' ? `TIMEOUT of ${file}: ${detail}` : `${file}: ${detail}`
}

function describe({ test, filter }: Killer): string {
  return filter === undefined ? test : `${test} -t "${filter}"`
}

/** Each bench takes the next item as soon as it is free. */
async function inParallel<T>(
  benches: Workbench[],
  items: T[],
  work: (bench: Workbench, item: T) => Promise<void>,
): Promise<void> {
  let next = 0
  const takeAll = async (bench: Workbench) => {
    while (next < items.length) await work(bench, items[next++]!)
  }
  await Promise.all(benches.map(takeAll))
}
