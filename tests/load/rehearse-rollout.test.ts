import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { createTestDatabase } from '../support/postgres.ts'

const REHEARSE = fileURLToPath(new URL('./rehearse-rollout.ts', import.meta.url))
const MINUTE_MS = 60_000

type Ran = { code: number; stdout: string; stderr: string }

function run(args: string[], env: Record<string, string | undefined> = {}): Promise<Ran> {
  const options = {
    env: { PATH: process.env.PATH, TEST_LOG: process.env.TEST_LOG, ...env },
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
        const { code, stdout, stderr } = await run(args, { DATABASE_URL: database.url })
        expect(stderr).toBe('')
        const blocks = stdout.split('\n\n').map((block) => block.trim())
        const steps = blocks.slice(0, -1)
        expect(steps.map((step) => step.split('\n')[0]!.replace(/^(full rollback: ).*/, '$1'))).toEqual(STEPS)
        for (const step of steps) expectSound(step)
        expect(blocks.at(-1)).toMatch(/^History\n {2}[1-9]\d+ writes acknowledged, /)
        expect(blocks.at(-1)).toContain('every acknowledged write is stored once, no refused one is')
        expect(blocks.at(-1)).toMatch(/: no violations$/)
        expect(code).toBe(0)
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
