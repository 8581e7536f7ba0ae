import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../eventually.ts'
import { readDeployFile, replaceAll } from './deploy-files.ts'
import { type Listening, startListening } from './programs.ts'

const START_MS = 30_000
const METRICS_TOKEN = 'may-read-metrics'

/** For the servers that Prometheus is to read. */
export const SCRAPED = { METRICS_TOKEN }

export type PrometheusOptions = {
  /** URLs of servers. */
  servers: readonly string[]
  /** The alerts, when they are not to be those of deploy/. */
  alerts?: string
  /** Where a node exporter listens, as host:port. */
  nodeExporter?: string
}

export type Sample = { metric: Record<string, string>; value: [number, string] }
export type Alert = {
  labels: Record<string, string>
  annotations: Record<string, string>
  state: 'pending' | 'firing'
}
export type Rule = {
  name: string
  query: string
  duration: number
  health: string
  labels: Record<string, string>
  annotations: Record<string, string>
}

/** A real Prometheus with the configuration of deploy/, looking every second, at the given servers. */
export class PrometheusProcess {
  readonly #program: Listening
  readonly #directory: string

  private constructor(program: Listening, directory: string) {
    this.#program = program
    this.#directory = directory
  }

  static async start(options: PrometheusOptions): Promise<PrometheusProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'catbird-prometheus-'))
    let program: Listening | undefined
    try {
      await writeConfiguration(directory, options)
      program = await startListening('prometheus', [
        `--config.file=${join(directory, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
      ])
      const prometheus = new PrometheusProcess(program, directory)
      await prometheus.#seen(options.servers.length)
      return prometheus
    } catch (error) {
      await program?.stop()
      await rm(directory, { recursive: true, force: true })
      throw error
    }
  }

  query(query: string): Promise<{ result: Sample[] }> {
    return this.#ask('query', { query })
  }

  /** Series that match a selector and were there at any time. */
  series(selector: string): Promise<Record<string, string>[]> {
    return this.#ask('series', { 'match[]': selector, start: '0', end: String(Date.now() / 1000) })
  }

  async rules(): Promise<Rule[]> {
    const { groups } = await this.#ask<{ groups: { rules: Rule[] }[] }>('rules', {})
    return groups.flatMap(({ rules }) => rules)
  }

  async firing(): Promise<Alert[]> {
    const { alerts } = await this.#ask<{ alerts: Alert[] }>('alerts', {})
    return alerts.filter(({ state }) => state === 'firing')
  }

  async isFiring(alertname: string): Promise<boolean> {
    return (await this.firing()).some(({ labels }) => labels.alertname === alertname)
  }

  /** Waits for looks at all servers that began after the call. */
  async looks(count: number): Promise<void> {
    const query = 'min(count_over_time(up{job="mls-server"}[1h]))'
    const looked = async () => Number((await this.query(query)).result[0]?.value[1] ?? 0)
    const before = await looked()
    await eventually(`${count} scrapes`, async () => (await looked()) > before + count, 30_000)
  }

  async stop(): Promise<void> {
    await this.#program.stop()
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #seen(servers: number): Promise<void> {
    const ready = `http://${this.#program.address}/-/ready`
    await eventually('a Prometheus that is ready', async () => (await fetch(ready)).ok, START_MS)
    const up = async () => Number((await this.query('sum(up{job="mls-server"})')).result[0]?.value[1])
    await eventually('a scrape of all servers', async () => (await up()) === servers, START_MS)
  }

  async #ask<T>(path: string, parameters: Record<string, string>): Promise<T> {
    const response = await fetch(
      `http://${this.#program.address}/api/v1/${path}?${new URLSearchParams(parameters)}`,
    )
    const { status, data, error } = (await response.json()) as { status: string; data: T; error?: string }
    if (status !== 'success') throw new Error(`Prometheus answered ${path}: ${error}`)
    return data
  }
}

/** Writes the files of deploy/ there, but for addresses, paths and intervals. */
export async function writeConfiguration(directory: string, options: PrometheusOptions): Promise<void> {
  const { servers, alerts = readDeployFile('alerts.yml'), nodeExporter } = options
  const hosts = servers.map((url) => new URL(url).host)
  const token = join(directory, 'metrics_token')
  const config = replaceAll(readDeployFile('prometheus.yml'), [
    ['/etc/prometheus/alerts.yml', join(directory, 'alerts.yml')],
    ['/run/secrets/metrics_token', token],
    ['"mls-server:3000"', hosts.map((host) => `"${host}"`).join(', ')],
    ['interval: 15s', 'interval: 1s'],
    ['timeout: 10s', 'timeout: 1s'],
    ...(nodeExporter ? withNodeExporter(nodeExporter) : []),
  ])
  await writeFile(token, `${METRICS_TOKEN}\n`)
  await writeFile(join(directory, 'alerts.yml'), alerts)
  await writeFile(join(directory, 'prometheus.yml'), config)
}

/** The job that stands there as a comment. */
function withNodeExporter(address: string): [string, string][] {
  return [
    ['# - job_name: node', '- job_name: node'],
    [
      '#   static_configs:\n  #     - targets: ["database-host:9100"]',
      `  static_configs: [{ targets: ["${address}"] }]`,
    ],
  ]
}
