import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { missingSeries, wrongData } from '../support/prometheus/check-query.ts'
import {
  filledIn,
  hastened,
  readDashboards,
  readDeployFile,
  readGuideQueries,
} from '../support/prometheus/deploy-files.ts'
import { everyKindOfLoad, poisonMallory, SMALL_LIMITS } from '../support/prometheus/every-kind-of-load.ts'
import { type Listening, startNodeExporter } from '../support/prometheus/programs.ts'
import { PrometheusProcess, SCRAPED } from '../support/prometheus/prometheus-process.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

describe('a Prometheus that reads a server with actors and one with both executors, under every kind of load', () => {
  let database: TestDatabase
  let sql: ReturnType<typeof openSql>
  const servers: TestServer[] = []
  let nodeExporter: Listening
  let prometheus: PrometheusProcess

  beforeAll(async () => {
    database = await createTestDatabase()
    sql = openSql(database.url)
    await poisonMallory(sql)
    for (const ACTOR_ROLLOUT_PERCENT of ['100', '50']) {
      const env = { ...SCRAPED, ...SMALL_LIMITS, SHARD_COUNT: '2', ACTOR_ROLLOUT_PERCENT }
      servers.push(await startTestServer(env, database))
    }
    nodeExporter = await startNodeExporter()
    prometheus = await PrometheusProcess.start({
      servers: servers.map(({ url }) => url),
      // Some have to fire, for what shows that.
      alerts: hastened(readDeployFile('alerts.yml'), { hold: '1s' }),
      nodeExporter: nodeExporter.address,
    })
    // Rates need two values.
    for (let round = 0; round < 2; round++) {
      await everyKindOfLoad({ servers, sql })
      await prometheus.looks(2)
    }
  })
  afterAll(async () => {
    await prometheus?.stop()
    await nodeExporter?.stop()
    await Promise.all(servers.map((server) => server.stop()))
    await sql?.end()
    await database?.drop()
  })

  it.each(readDashboards())('has what every panel shows of $title', async ({ panels }) => {
    const wrong: Record<string, string[]> = {}
    for (const { title, targets = [] } of panels) {
      for (const { expr, legendFormat } of targets) {
        const shown = { expr: filledIn(expr), legendFormat }
        const found = [
          ...(await missingSeries(prometheus, shown.expr)),
          ...(await wrongData(prometheus, shown)),
        ]
        if (found.length > 0) wrong[title] = found
      }
    }
    expect(wrong).toEqual({})
  })

  it('has what the variables of the dashboards choose from', async () => {
    for (const { templating } of readDashboards()) {
      for (const { query } of templating.list) {
        const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(query.query) ?? []
        const series = await prometheus.series(filledIn(selector!))
        expect(new Set(series.map((one) => one[label!])).size).toBe(label === 'job' ? 1 : 2)
      }
    }
  })

  it('has every series that an alert looks at', async () => {
    const rules = await prometheus.rules()
    expect(rules.length).toBeGreaterThanOrEqual(17)
    for (const { name, query, health } of rules) {
      expect(health, name).toBe('ok')
      expect(await missingSeries(prometheus, query), name).toEqual([])
    }
  })

  it.each(['runbook.md', 'migration.md'])('has every series that %s asks for', async (guide) => {
    const queries = readGuideQueries(guide)
    expect(queries.length).toBeGreaterThan(5)
    for (const query of queries) {
      await prometheus.query(query)
      expect(await missingSeries(prometheus, query), query).toEqual([])
    }
  })

  it('has every label that an alert tells of', async () => {
    for (const { name, query, annotations } of await prometheus.rules()) {
      const told = Object.values(annotations)
        .join()
        .matchAll(/\$labels\.(\w+)/g)
      // As when it fires: without the comparisons everything would.
      const { result } = await prometheus.query(
        query.replaceAll(/(?:==|<|>) [\d.]+(?=\s*$|\s*(?:or|and)\b)/g, ''),
      )
      expect(result.length, name).toBeGreaterThan(0)
      for (const [, label] of told) {
        for (const { metric } of result) expect(metric, `${name}: ${label}`).toHaveProperty(label!)
      }
    }
  })

  it.each([
    ['a metric that does not exist', 'sum(rate(http_request_total{job="$job"}[$__rate_interval]))'],
    ['a label that does not exist', 'sum(rate(http_requests_total{code="200"}[$__rate_interval]))'],
    [
      'a value that does not exist',
      'sum(rate(epoch_conflicts_total{reason=~"commit_stale|commit_old"}[5m]))',
    ],
    ['an excluded label that does not exist', 'http_requests_total{code!="501"}'],
    ['a grouping by a label that does not exist', 'sum by (worker) (shard_up)'],
    ['nothing', 'vector(1)'],
  ])('would show a query of %s', async (_, expr) => {
    expect(await missingSeries(prometheus, filledIn(expr))).not.toEqual([])
  })

  it.each([
    ['nothing', { expr: 'shard_up > 1', legendFormat: '' }],
    ['no number', { expr: 'shard_up * 0 / 0', legendFormat: '' }],
    ['no such label', { expr: 'sum(shard_up)', legendFormat: '{{shard}}' }],
  ])('would show a panel with %s', async (_, panel) => {
    expect(await wrongData(prometheus, panel)).not.toEqual([])
  })
})
