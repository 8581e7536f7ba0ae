// Usage: node tests/mutants/run-mutants.ts [words]
// Plants one fault at a time in a copy of the workspace and runs the tests that must notice it. Fails when a fault
// survives, when its place in the code is not found, or when its tests fail without it. With words: only the faults
// whose names contain them.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startTemporaryPostgres } from '@catbird/api/database/temporary-postgres'
import { DECISION_MUTANTS } from './decision-mutants.ts'
import { ENGINE_MUTANTS } from './engine-mutants.ts'
import { FRONT_MUTANTS } from './front-mutants.ts'
import { applyEdits, type Killer, type Mutant } from './mutant.ts'
import { type KillerRun, runKiller } from './run-killer.ts'
import { STORE_MUTANTS } from './store-mutants.ts'
import { copyWorkspace } from './workspace-copy.ts'

/** Copies of the workspace, each with one fault at a time. */
const COPIES = 2
const root = fileURLToPath(new URL('../..', import.meta.url))
const words = process.argv.slice(2).join(' ')
const mutants = [...DECISION_MUTANTS, ...ENGINE_MUTANTS, ...STORE_MUTANTS, ...FRONT_MUTANTS].filter(
  ({ name }) => name.includes(words),
)

process.exitCode = isEverythingPlaced() && (await run()) ? 0 : 1

function isEverythingPlaced(): boolean {
  const errors = mutants.flatMap((mutant) => {
    try {
      applyEdits(readFileSync(join(root, mutant.file), 'utf8'), mutant)
      return []
    } catch (error) {
      return [`${mutant.name}: ${(error as Error).message}`]
    }
  })
  for (const error of errors) console.log(error)
  return errors.length === 0
}

async function run(): Promise<boolean> {
  const report = (details: object, message: string) => console.error(message, details)
  const database = await startTemporaryPostgres(
    { info: () => {}, warn: report, error: report },
    { max_connections: '300' },
  )
  const copies = Array.from({ length: COPIES }, () => copyWorkspace(root))
  try {
    return (await areKillersSound(copies, database.url)) && (await areAllFound(copies, database.url))
  } finally {
    for (const copy of copies) rmSync(copy, { recursive: true, force: true })
    await database.stop()
  }
}

/** A test that fails without the fault, or whose name matches nothing, finds nothing. */
async function areKillersSound(copies: string[], databaseUrl: string): Promise<boolean> {
  const killers = new Map(mutants.map(({ killer }) => [JSON.stringify(killer), killer]))
  let isSound = true
  await inParallel(copies, [...killers.values()], async (copy, killer) => {
    const { outcome, detail } = await runKiller(copy, killer, databaseUrl)
    if (outcome === 'passed') return
    isSound = false
    console.log(`without any fault ${describe(killer)}: ${outcome}, ${detail}`)
  })
  return isSound
}

async function areAllFound(copies: string[], databaseUrl: string): Promise<boolean> {
  const survivors: string[] = []
  await inParallel(copies, mutants, async (copy, mutant) => {
    const found = await plant(copy, mutant, databaseUrl)
    const isFound = found.outcome === 'failed' || found.outcome === 'timeout'
    if (!isFound)
      survivors.push(`${mutant.name} (${mutant.file}), ${describe(mutant.killer)}: ${found.outcome}`)
    const verdict = isFound ? 'found' : 'SURVIVED'
    console.log(
      `${verdict.padEnd(8)} ${mutant.name.padEnd(72)} ${found.seconds.toFixed(1)} s  ${found.detail}`,
    )
  })
  console.log(`\n${mutants.length} faults, ${mutants.length - survivors.length} found`)
  for (const survivor of survivors) console.log(`SURVIVED: ${survivor}`)
  return survivors.length === 0
}

async function plant(copy: string, mutant: Mutant, databaseUrl: string): Promise<KillerRun> {
  const path = join(copy, mutant.file)
  const source = readFileSync(path, 'utf8')
  writeFileSync(path, applyEdits(source, mutant))
  try {
    return await runKiller(copy, mutant.killer, databaseUrl)
  } finally {
    writeFileSync(path, source)
  }
}

function describe({ test, filter }: Killer): string {
  return filter === undefined ? test : `${test} -t "${filter}"`
}

/** Each copy takes the next item as soon as it is free. */
async function inParallel<T>(
  copies: string[],
  items: T[],
  work: (copy: string, item: T) => Promise<void>,
): Promise<void> {
  let next = 0
  const takeAll = async (copy: string) => {
    while (next < items.length) await work(copy, items[next++]!)
  }
  await Promise.all(copies.map(takeAll))
}
