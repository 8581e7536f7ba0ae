// Without arguments: the checks, then every test. With arguments: vitest alone, with these as its filters.
// --long runs the stress tests in full. Ends with a line `N passed, N failed`.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const filters = process.argv.slice(2).filter((argument) => argument !== '--long')
if (process.argv.includes('--long')) process.env.STRESS = 'long'

const checked = filters.length > 0 || runNode(['scripts/check.mjs'])
const tested = runVitest()
process.exitCode = checked && tested ? 0 : 1

function runVitest() {
  const directory = mkdtempSync(join(tmpdir(), 'catbird-results-'))
  const results = join(directory, 'results.json')
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${results}`]
    const ok = runNode(['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...filters])
    if (!checked) console.log('The checks failed, see the top of this output.')
    console.log(summary(results))
    return ok
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function summary(results) {
  try {
    const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(results, 'utf8'))
    // A file that fails outside its tests, at an import for instance, counts as one.
    const isBroken = (file) =>
      file.status === 'failed' && !file.assertionResults.some((t) => t.status === 'failed')
    return `${numPassedTests} passed, ${numFailedTests + testResults.filter(isBroken).length} failed`
  } catch {
    return 'The tests did not run to the end: 0 passed, 1 failed'
  }
}

function runNode(args) {
  return spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status === 0
}
