import { execFile, execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { createTestDatabase } from '../support/postgres.ts'
import { faultsOf } from './rehearsal.ts'

const REHEARSE = fileURLToPath(new URL('./rehearse-rollout.ts', import.meta.url))
const MINUTE_MS = 60_000

type Ran = { code: number; stdout: string; stderr: string }

function run(args: string[]): Promise<Ran> {
  const options = {
    env: { PATH: process.env.PATH, TEST_LOG: process.env.TEST_LOG },
    timeout: 3 * MINUTE_MS,
  }
  return new Promise((resolve) => {
    execFile(process.execPath, [REHEARSE, ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

const STEPS = [
  'off',
  'actors for 1 %',
  'actors for 10 %',
  'actors for 50 %',
  'actors for 100 %',
  'off again',
  'actors for 100 %',
  'shards crash again and again',
  'quick rollback: off',
  'full rollback: ',
]

describe('the rehearsal of a roll-out', () => {
  it(
    'takes a server under load through all steps, and every write that was acknowledged is there in the end',
    async () => {
      const database = await createTestDatabase()
      try {
        const args = ['--step-seconds', '2', '--rate', '50', '--conversations', '20']
        const { code, stdout, stderr } = await run([...args, '--database', database.url])
        expect(stderr).toBe('')
        const blocks = stdout.split('\n\n').map((block) => block.trim())
        const steps = blocks.slice(0, -2)
        expect(steps.map((step) => step.split('\n')[0]!.replace(/^(full rollback: ).*/, '$1'))).toEqual(STEPS)
        for (const step of steps) expectSound(step)
        const [history, verdict] = blocks.slice(-2)
        expect(history).toMatch(/^History\n {2}[1-9]\d+ writes acknowledged, /)
        expect(history).toContain('every acknowledged write is stored once, no refused one is')
        expect(history).toMatch(/: no violations$/)
        if (hasHistory()) expect(steps.at(-1)).not.toContain('this version itself')
        expectJudged(steps, verdict!, code)
      } finally {
        await database.drop()
      }
    },
    3 * MINUTE_MS,
  )

  it.each([
    [['--rate', 'much'], '--rate must be a whole number'],
    [['--percent', '5'], "'--percent'"],
  ])('refuses %j by name, with its usage', async (args, problem) => {
    const { code, stderr } = await run(args)
    expect(code).toBe(1)
    expect(stderr).toContain(problem)
    expect(stderr).toContain('Usage: deploy/rehearse-rollout')
  })
})

describe('what of a step is not as it should be', () => {
  const step = { exitCode: 0, goalMs: 5000, longestWithoutWriteMs: 5000 }

  it.each([
    ['a goal that is just met', step, []],
    ['a long silence without a goal', { ...step, goalMs: undefined, longestWithoutWriteMs: 60_000 }, []],
    [
      'a goal that is missed',
      { ...step, longestWithoutWriteMs: 5001 },
      ['5001 ms without a write, more than 5000 ms'],
    ],
    ['a server that ended with a fault', { ...step, exitCode: 1 }, ['the server before ended with 1']],
    ['a server that was killed', { ...step, exitCode: null }, ['the server before ended with null']],
  ])('%s', (_, given, faults) => {
    expect(faultsOf(given)).toEqual(faults)
  })
})

/** A goal may be missed on a machine that has much else to do; then the end has to say so, and only then. */
function expectJudged(steps: string[], verdict: string, code: number): void {
  const missed = steps.filter((step) => step.includes('MISSED')).map((step) => step.split('\n')[0]!)
  const [title, ...faults] = verdict.split('\n')
  expect(title).toBe(missed.length > 0 ? 'Not as it should be' : 'Every step was as it should be')
  expect(faults.map((fault) => /^ {2}(.+): \d+ ms without a write, /.exec(fault)?.[1])).toEqual(missed)
  expect(code).toBe(missed.length > 0 ? 1 : 0)
}

/** Whether this is a checkout in which a version before this one can be found. */
function hasHistory(): boolean {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' }).trim()
    const isWhole = git('rev-parse', '--is-shallow-repository') === 'false'
    return isWhole && Number(git('rev-list', '--count', 'HEAD')) > 1
  } catch {
    return false
  }
}

/** Servers end as they should, callers get their answer in the end, and only what is broken on purpose logs faults. */
function expectSound(step: string): void {
  expect(step).not.toMatch(/ended with (?!0$)/m)
  expect(step).toMatch(/^ {2}requests +[1-9]\d*, accepted [1-9]\d*$/m)
  expect(step).toMatch(/^ {2}longest without an answer +[\d.]+ m?s, without a write [\d.]+ m?s/m)
  if (step.startsWith('shards crash')) {
    expect(step).toMatch(/^ {2}asked again after .*(Overloaded|OutcomeUnknown)/m)
    expect(step).toMatch(/^ {2}ERROR lines in the log +[1-9]/m)
  } else {
    expect(step).toMatch(/^ {2}errors +0$/m)
    expect(step).toMatch(/^ {2}ERROR lines in the log +0$/m)
  }
}
