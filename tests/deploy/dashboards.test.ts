import { describe, expect, it } from 'vitest'
import { type Panel, readDashboards, readDeployFile } from '../support/prometheus/deploy-files.ts'
import { asked } from '../support/prometheus/promql.ts'

const DATA_SOURCE = 'mls-prometheus'
const COLUMNS = 24

/** What must stand under a question, each in one panel of that kind; a label after the metric is what it is split by. */
const ANSWERS: Record<string, string[]> = {
  'Is it healthy?': ['up', 'server_ready', 'shard_up', 'http_requests_total', 'ALERTS'],
  'Are epochs safe?': [
    'epoch_increment_duration_seconds_count',
    'epoch_conflicts_total by reason',
    'epoch_integrity_violations',
    'epoch_integrity_violations by rule',
    'audit_completed_timestamp_seconds',
  ],
  'Which shard is hot, would another SHARD_COUNT help?': [
    'shard_event_loop_utilization',
    'actor_mailbox_depth',
    'actor_mailbox_depth_sum',
    'process_cpu_seconds_total',
    'shard_restarts_total by reason',
  ],
  'How is the group commit?': [
    'group_commit_rows_sum',
    'group_commit_rows_bucket as heatmap',
    'group_commit_duration_seconds_bucket',
    'group_commit_failures_total by reason',
  ],
  'What do clients see?': [
    'http_requests_total by method',
    'http_errors_total by error',
    'http_request_duration_seconds_bucket as heatmap',
  ],
  Streams: [
    'active_streams',
    'stream_events_sent_total',
    'stream_closes_total by reason',
    'stream_horizon_lag_seconds',
  ],
  'Both executors side by side': [
    'conversation_command_duration_seconds_count by executor',
    'conversation_command_duration_seconds_bucket by executor',
    'epoch_conflicts_total by executor',
    'epoch_increment_duration_seconds_count by executor',
  ],
}

const dashboards = readDashboards()

/** The panels between this question and the next. */
function under(question: string): Panel[] {
  const panels = dashboards.flatMap((dashboard) => dashboard.panels)
  const start = panels.findIndex(({ type, title }) => type === 'row' && title === question) + 1
  const end = panels.findIndex(({ type }, index) => index >= start && type === 'row')
  return start === 0 ? [] : panels.slice(start, end < 0 ? undefined : end)
}

function answers({ type, targets = [] }: Panel, answer: string): boolean {
  const [, metric, label, kind] = /^(\w+)(?: by (\w+))?(?: as (\w+))?$/.exec(answer)!
  if (kind && kind !== type) return false
  return targets.some(({ expr }) => {
    const { selectors } = asked(expr)
    return selectors.some((one) => one.metric === metric) && (!label || isSplitBy(expr, label))
  })
}

function isSplitBy(expr: string, label: string): boolean {
  return new RegExp(`\\bby \\((?:\\w+, )*${label}\\b`).test(expr)
}

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

  it.each(Object.entries(ANSWERS))('answer %s by what tells it', (question, expected) => {
    const panels = under(question)
    expect(expected.filter((answer) => !panels.some((panel) => answers(panel, answer)))).toEqual([])
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
