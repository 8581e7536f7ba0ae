// Without arguments: the checks, then every test. With arguments: vitest alone, with these as its filters.
// --long runs the stress tests in full. Ends with a line `N passed, N failed`.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TEST_AUDIENCE } from '../tests/support/identity.ts'
import { checkLog } from '../tests/support/log-secrets.ts'

/** A whole run logs several times as many. With fewer, looking for secrets would prove nothing. */
const MIN_LOG_LINES = 1000

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const filters = process.argv.slice(2).filter((argument) => argument !== '--long')
if (process.argv.includes('--long')) process.env.STRESS = 'long'

const checked = filters.length > 0 || runNode(['scripts/check.mjs'])
const tested = await runVitest()
process.exitCode = checked && tested ? 0 : 1

async function runVitest() {
  const directory = mkdtempSync(join(tmpdir(), 'catbird-results-'))
  const results = join(directory, 'results.json')
  const log = join(directory, 'servers.log')
  writeFileSync(log, '')
  process.env.TEST_LOG = log
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${results}`]
    const ok = runNode(['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...filters])
    if (!checked) console.log('The checks failed, see the top of this output.')
    const isClean = await isLogClean(log)
    console.log(summary(results, isClean))
    return ok && isClean
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The log of every server of the run, at level INFO and above, holds no secrets; and a whole run has one. */
async function isLogClean(log) {
  const { lines, found } = await checkLog(log, [TEST_AUDIENCE])
  for (const line of found.slice(0, 20)) console.log(`A log line holds ${line}`)
  console.log(`Servers logged ${lines} lines, ${found.length} of them with a token, a DID or message bytes.`)
  const isEnough = filters.length > 0 || lines >= MIN_LOG_LINES
  if (!isEnough)
    console.log(`A whole run logs at least ${MIN_LOG_LINES} lines: they no longer reach the check.`)
  return isEnough && found.length === 0
}

function summary(results, isClean) {
  try {
    const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(results, 'utf8'))
    // A file that fails outside its tests, at an import for instance, counts as one.
    const isBroken = (file) =>
      file.status === 'failed' && !file.assertionResults.some((t) => t.status === 'failed')
    const failed = numFailedTests + testResults.filter(isBroken).length + (isClean ? 0 : 1)
    return `${numPassedTests} passed, ${failed} failed`
  } catch {
    return 'The tests did not run to the end: 0 passed, 1 failed'
  }
}

function runNode(args) {
  return spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status === 0
}
