import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DEPLOY, readDeployFile } from '../support/prometheus/deploy-files.ts'

/** All that an operator is promised. */
const PROMISED = [
  'MlsServerDown',
  'MlsServerUnready',
  'MlsHighErrorRate',
  'MlsSlowRequests',
  'MlsShardDown',
  'MlsShardRestarts',
  'MlsMailboxBacklog',
  'MlsEpochIntegrityViolated',
  'MlsEpochConflicts',
  'MlsEventLoopBusy',
  'MlsDatabasePoolWaiting',
  'MlsSlowGroupCommit',
  'MlsHeapNearlyFull',
  'MlsSlowStreams',
  'MlsStreamHorizonLag',
  'MlsKeyPackagesExhausted',
  'MlsDiskNearlyFull',
]

const alerts = readDeployFile('alerts.yml')
  .split(/^ {6}- alert: /m)
  .slice(1)

describe('alerts', () => {
  it('are all that are promised', () => {
    expect(alerts.map((alert) => alert.split('\n')[0])).toEqual(PROMISED)
  })

  it.each(PROMISED)(
    '%s has a severity, says what it is about, and names its place in the runbook',
    (name) => {
      const alert = alerts.find((text) => text.startsWith(`${name}\n`))
      expect(alert).toMatch(/^ {10}severity: (critical|warning)$/m)
      for (const annotation of ['summary', 'description'])
        expect(alert).toMatch(new RegExp(`^ {10}${annotation}: .{20,}$`, 'm'))
      expect(alert).toContain(`runbook_url: runbook.md#${name.toLowerCase()}\n`)
    },
  )

  it('are each seen to fire and not to fire in the unit tests', () => {
    const tests = readDeployFile('alerts.test.yml')
    for (const name of PROMISED) {
      const checks = tests.split(`alertname="${name}", alertstate="firing"}'\n`).slice(1)
      expect(checks.filter((check) => check.includes('exp_samples: []')).length, name).toBeGreaterThan(0)
      expect(tests).toContain(`labels: 'ALERTS{alertname="${name}"`)
    }
  })

  it('are all in the runbook, under their names', () => {
    const runbook = join(DEPLOY, 'runbook.md')
    const headings = existsSync(runbook) ? readFileSync(runbook, 'utf8').matchAll(/^#+ (\w+)$/gm) : []
    expect(Array.from(headings, ([, name]) => name)).toEqual(expect.arrayContaining(PROMISED))
  })
})
