import { describe, expect, it } from 'vitest'
import { type Panel, readDashboards, readDeployFile } from '../support/prometheus/deploy-files.ts'

const DATA_SOURCE = 'mls-prometheus'
const COLUMNS = 24

const dashboards = readDashboards()
const withQueries = (panels: Panel[]) => panels.filter(({ type }) => type !== 'row')

describe('dashboards', () => {
  it('answer what an operator asks', () => {
    const titles = dashboards.flatMap(({ panels }) => panels.map(({ title }) => title))
    expect(titles).toEqual(
      expect.arrayContaining([
        'Is it healthy?',
        'Are epochs safe?',
        'Which shard is hot, would another SHARD_COUNT help?',
        'How is the group commit?',
        'What do clients see?',
        'Which errors do clients get?',
        'How are the times of answers spread?',
        'Streams',
        'Both executors side by side',
      ]),
    )
  })

  it('have names of their own', () => {
    for (const key of ['uid', 'title'] as const) {
      expect(new Set(dashboards.map((dashboard) => dashboard[key])).size).toBe(dashboards.length)
    }
  })

  it('are provisioned with the data source that they name', () => {
    const source = readDeployFile('grafana/provisioning/datasources/prometheus.yml')
    expect(source).toMatch(new RegExp(`^ {4}uid: ${DATA_SOURCE}$`, 'm'))
    const provider = readDeployFile('grafana/provisioning/dashboards/mls-server.yml')
    expect(provider).toContain('path: /var/lib/grafana/dashboards\n')
  })
})

describe.each(dashboards)('the dashboard $title', ({ file, id, uid, schemaVersion, panels, templating }) => {
  it('is a file as Grafana keeps it', () => {
    expect(file).toBe(`grafana/dashboards/${uid}.json`)
    expect(id).toBe(null)
    expect(schemaVersion).toBeGreaterThanOrEqual(41)
    expect(new Set(panels.map((panel) => panel.id)).size).toBe(panels.length)
  })

  it('lets one choose among servers', () => {
    expect(templating.list.map(({ name }) => name)).toEqual(['job', 'instance'])
    for (const { title, targets = [] } of panels) {
      for (const { expr } of targets) {
        const selectors = expr.match(/\{[^}]*\}/g) ?? []
        expect(selectors.length, title).toBeGreaterThan(0)
        for (const selector of selectors)
          expect(selector, title).toContain('job="$job", instance=~"$instance"')
      }
    }
  })

  it('has panels that say what is normal, in a unit, from the provisioned data source', () => {
    for (const { title, description, datasource, targets, fieldConfig } of withQueries(panels)) {
      expect(description, title).toContain('Normal: ')
      expect(description!.length, title).toBeGreaterThan(40)
      expect(datasource?.uid, title).toBe(DATA_SOURCE)
      expect(targets!.length, title).toBeGreaterThan(0)
      for (const target of targets!) expect(target.datasource.uid, title).toBe(DATA_SOURCE)
      expect(fieldConfig!.defaults.unit, title).toMatch(/\w/)
      expect(fieldConfig!.defaults.thresholds.steps[0]!.value, title).toBe(null)
    }
  })

  it('has no two panels in one place', () => {
    const taken = new Map<string, string>()
    for (const { title, gridPos } of panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(COLUMNS)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x}:${y}`), `${title} at ${x}:${y}`).toBeUndefined()
          taken.set(`${x}:${y}`, title)
        }
      }
    }
  })
})
