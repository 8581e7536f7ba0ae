import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Killer } from './mutant.ts'

/** A test that hangs has noticed something too. */
const TIMEOUT_MS = 120_000

export type KillerRun = {
  /** `broken`: the tests could not be run, which proves nothing. */
  outcome: 'passed' | 'failed' | 'timeout' | 'broken'
  /** Name of the first test that failed, or what broke. */
  detail: string
  seconds: number
}

type Report = {
  numPassedTests: number
  testResults: {
    message: string
    assertionResults: { status: string; title: string }[]
  }[]
}

/** Runs a killer's tests in the given copy of the workspace until the first of them fails. */
export async function runKiller(copy: string, killer: Killer, databaseUrl: string): Promise<KillerRun> {
  const startedMs = performance.now()
  const results = join(copy, 'killer-results.json')
  rmSync(results, { force: true })
  const args = [
    'run',
    killer.test,
    '--bail=1',
    '--maxWorkers=1',
    '--reporter=json',
    `--outputFile=${results}`,
  ]
  if (killer.filter) args.push('--testNamePattern', killer.filter)
  const { isLate, output } = await runVitest(copy, args, { ...killer.env, TEST_DATABASE_URL: databaseUrl })
  const seconds = (performance.now() - startedMs) / 1000
  if (isLate) return { outcome: 'timeout', detail: `nothing after ${TIMEOUT_MS / 1000} s`, seconds }
  return { ...readReport(results, output), seconds }
}

function readReport(results: string, output: string): Pick<KillerRun, 'outcome' | 'detail'> {
  let report: Report
  try {
    report = JSON.parse(readFileSync(results, 'utf8'))
  } catch {
    return { outcome: 'broken', detail: output.trim().slice(-2000) }
  }
  const failed = report.testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === 'failed'),
  )
  if (failed.length > 0) return { outcome: 'failed', detail: failed[0]!.title }
  const message = report.testResults.map((file) => file.message).join('\n')
  if (message.trim()) return { outcome: 'broken', detail: message.trim() }
  if (report.numPassedTests === 0) return { outcome: 'broken', detail: 'no test has this name' }
  return { outcome: 'passed', detail: '' }
}

/** In a process group of its own, so that what hangs ends with all that it has started. */
function runVitest(
  cwd: string,
  args: string[],
  env: Record<string, string>,
): Promise<{ isLate: boolean; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const endGroup = () => process.kill(-child.pid!, 'SIGKILL')
    let isLate = false
    let output = ''
    const timer = setTimeout(() => {
      isLate = true
      endGroup()
    }, TIMEOUT_MS)
    process.once('exit', endGroup)
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      process.off('exit', endGroup)
      resolve({ isLate, output })
    })
  })
}
