import { expect, it } from 'vitest'
import { HistoryStats } from './history-stats.ts'
import { type HistoryResult, runHistory } from './run-history.ts'

const HISTORIES = Number(process.env.HISTORIES ?? 10_000)
/** SEED runs one history alone; FIRST_SEED lets a longer hunt go elsewhere. */
const { SEED, FIRST_SEED = '1' } = process.env
const FAILED_ENOUGH = 3

/** Odd seeds mix an actor engine with a direct executor, even ones two actor engines. */
function run(seed: number): Promise<HistoryResult> {
  return runHistory(seed, { commands: 50, failures: 2, direct: seed % 2 === 1 })
}

function replayLine(seed: number): string {
  return `SEED=${seed} node_modules/.bin/node node_modules/vitest/vitest.mjs run tests/engine/histories.test.ts`
}

if (SEED) {
  it('finds nothing wrong with the history of one seed', async () => {
    const { problems, world, injected } = await run(Number(SEED))
    console.log(`${world.history.length} commands, injected: ${injected.join(', ')}`)
    expect(problems).toEqual([])
  })
} else {
  it('finds every history linearizable, whatever fails', { timeout: 600_000 }, async () => {
    const stats = new HistoryStats()
    const failed: string[] = []
    const startedMs = performance.now()
    const first = Number(FIRST_SEED)
    for (let seed = first; seed < first + HISTORIES && failed.length < FAILED_ENOUGH; seed++) {
      const result = await run(seed)
      stats.add(result)
      if (result.problems.length > 0) failed.push([replayLine(seed), ...result.problems].join('\n  '))
      // Lets the test runner hear that we are alive.
      if (seed % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    const seconds = (performance.now() - startedMs) / 1000
    console.log(`${stats}\n  ${Math.round(stats.histories / seconds)} histories/s`)
    expect(failed.join('\n\n')).toBe('')
    // The histories are worth something only if all of this happens in them.
    expect(stats.injected).toBeGreaterThan(stats.histories)
    for (const outcome of [
      'accepted',
      'EpochMismatch',
      'OutcomeUnknown',
      'IdempotencyConflict',
      'NotMember',
    ]) {
      expect(stats.outcomes(outcome), outcome).toBeGreaterThan(0)
    }
  })
}
