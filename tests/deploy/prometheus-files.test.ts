import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEPLOY, readDeployFile, replaceAll } from '../support/prometheus/deploy-files.ts'
import { promtool } from '../support/prometheus/programs.ts'
import { writeConfiguration } from '../support/prometheus/prometheus-process.ts'

/** It plays hours of all alerts, several times. */
const PROMTOOL_MS = 180_000
const GOOD = { isOk: true, output: expect.stringContaining('SUCCESS') }

describe('promtool', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'catbird-promtool-'))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  it('accepts the configuration, also with the node exporter that stands there as a comment', async () => {
    for (const nodeExporter of [undefined, 'db:9100']) {
      await writeConfiguration(directory, { servers: ['http://a:3000'], nodeExporter })
      expect(promtool(['check', 'config', 'prometheus.yml'], directory)).toEqual(GOOD)
    }
  })

  it('accepts the alerts', () => {
    expect(promtool(['check', 'rules', '--lint-fatal', 'alerts.yml'], DEPLOY)).toEqual(GOOD)
  })

  it('finds that each alert fires when it should, not before its time, and not when all is well', () => {
    expect(promtool(['test', 'rules', 'alerts.test.yml'], DEPLOY)).toEqual(GOOD)
  })

  it(
    'finds alerts that come too early, too late or not at all',
    async () => {
      await writeFile(join(directory, 'alerts.test.yml'), readDeployFile('alerts.test.yml'))
      for (const change of [
        ['server_ready == 0\n        for: 2m', 'server_ready == 0'],
        ['server_ready == 0\n        for: 2m', 'server_ready == 0\n        for: 3m'],
        ['epoch_integrity_violations > 0', 'epoch_integrity_violations > 1'],
      ] as const) {
        await writeFile(join(directory, 'alerts.yml'), replaceAll(readDeployFile('alerts.yml'), [change]))
        expect(promtool(['test', 'rules', 'alerts.test.yml'], directory).isOk).toBe(false)
      }
    },
    PROMTOOL_MS,
  )
})
