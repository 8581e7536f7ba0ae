// Usage: npm run mutants [-- --only <pattern>]
// Plants faults, one at a time, in a copy of the workspace and runs the test that must notice each.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startTemporaryPostgres } from '@catbird/api/database/temporary-postgres'
import { applyEdits, type Killer, type Mutant } from './mutant.ts'
import { MUTANTS } from './mutants.ts'
import { type KillerRun, runKiller } from './run-killer.ts'
import { copyWorkspace } from './workspace-copy.ts'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const { only } = parseArgs({ options: { only: { type: 'string' } } }).values
const chosen = MUTANTS.filter(({ name }) => !only || new RegExp(only, 'i').test(name))

process.exitCode = (await runAll(chosen)) ? 0 : 1

async function runAll(mutants: Mutant[]): Promise<boolean> {
  if (mutants.length === 0) throw new Error(`no fault is named like ${only}`)
  for (const mutant of mutants) applyEdits(readFileSync(join(root, mutant.file), 'utf8'), mutant)
  const copy = copyWorkspace(root)
  const removeCopy = () => rmSync(copy, { recursive: true, force: true })
  process.once('exit', removeCopy)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const report = (details: object, message: string) => console.error(message, details)
  const database = await startTemporaryPostgres(
    { info: () => {}, warn: report, error: report },
    { max_connections: '300' },
  )
  try {
    return (await killersPass(copy, mutants, database.url)) && (await allDie(copy, mutants, database.url))
  } finally {
    await database.stop()
    removeCopy()
    process.off('exit', removeCopy)
  }
}

/** Without a fault every killer passes: what fails anyway kills nothing. */
async function killersPass(copy: string, mutants: Mutant[], databaseUrl: string): Promise<boolean> {
  const killers = new Map(mutants.map(({ killer }) => [JSON.stringify(killer), killer]))
  console.log(`${killers.size} tests without a fault`)
  let isGood = true
  for (const killer of killers.values()) {
    const { outcome, detail } = await runKiller(copy, killer, databaseUrl)
    if (outcome === 'passed') continue
    isGood = false
    console.log(`${outcome.toUpperCase()}  ${describe(killer)}: ${detail}`)
  }
  return isGood
}

async function allDie(copy: string, mutants: Mutant[], databaseUrl: string): Promise<boolean> {
  const width = Math.max(...mutants.map(({ name }) => name.length))
  const line = (...[name, killedBy, seconds]: [string, string, string]) =>
    console.log(`${name.padEnd(width)} | ${killedBy} | ${seconds}`)
  line('fault', 'killed by', 'seconds')
  const startedMs = performance.now()
  const survivors: string[] = []
  for (const mutant of mutants) {
    const run = await runMutant(copy, mutant, databaseUrl)
    const isKilled = run.outcome === 'failed' || run.outcome === 'timeout'
    if (!isKilled) survivors.push(mutant.name)
    line(mutant.name, isKilled ? verdict(mutant.killer, run) : faultyRun(run), run.seconds.toFixed(1))
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0)
  console.log(`${mutants.length - survivors.length} killed, ${survivors.length} survived, ${seconds} s`)
  return survivors.length === 0
}

async function runMutant(copy: string, mutant: Mutant, databaseUrl: string): Promise<KillerRun> {
  const path = join(copy, mutant.file)
  const original = readFileSync(path, 'utf8')
  writeFileSync(path, applyEdits(original, mutant))
  try {
    return await runKiller(copy, mutant.killer, databaseUrl)
  } finally {
    writeFileSync(path, original)
  }
}

function verdict({ test }: Killer, { outcome, detail }: KillerRun): string {
  return outcome === 'timeout' ? `TIMEOUT of ${test}` : `${test}: ${detail}`
}

function faultyRun({ outcome, detail }: KillerRun): string {
  return outcome === 'passed' ? 'SURVIVED' : `BROKEN: ${detail}`
}

function describe({ test, filter }: Killer): string {
  return filter ? `${test}, ${filter}` : test
}
