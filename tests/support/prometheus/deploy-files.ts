import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const DEPLOY = join(import.meta.dirname, '../../../deploy')

export type Target = { expr: string; legendFormat: string; format: string; datasource: { uid: string } }
export type Panel = {
  id: number
  type: string
  title: string
  description?: string
  gridPos: { x: number; y: number; w: number; h: number }
  datasource?: { type: string; uid: string }
  targets?: Target[]
  fieldConfig?: { defaults: { unit: string; thresholds: { steps: { value: number | null }[] } } }
}
export type Dashboard = {
  file: string
  id: null
  uid: string
  title: string
  schemaVersion: number
  panels: Panel[]
  templating: { list: { name: string; query: { query: string } }[] }
}

export function readDeployFile(name: string): string {
  return readFileSync(join(DEPLOY, name), 'utf8')
}

export function readDashboards(): Dashboard[] {
  const files = globSync('grafana/dashboards/*.json', { cwd: DEPLOY }).sort()
  return files.map((file) => ({ file, ...JSON.parse(readDeployFile(file)) }))
}

/** The expressions of a guide, each in a block of its own. */
export function readGuideQueries(guide: string): string[] {
  const blocks = readDeployFile(guide).matchAll(/^```promql\n(.+?)^```/gms)
  return Array.from(blocks, ([, query]) => query!.trim())
}

/** An expression as Grafana sends it, with what a person would have chosen. */
export function filledIn(expression: string, range = '5m'): string {
  const filled = expression
    .replaceAll('$__rate_interval', range)
    .replaceAll('$job', 'mls-server')
    .replaceAll('$instance', '.+')
  if (filled.includes('$')) throw new Error(`nobody fills in all variables of ${expression}`)
  return filled
}

/** The alerts with shorter times: until they fire, and, where it is given, that they look back. */
export function hastened(alerts: string, { hold, range }: { hold: string; range?: string }): string {
  const sooner = alerts.replace(/\bfor: \d+m\b/g, `for: ${hold}`)
  return range ? sooner.replace(/\[\d+[mh]\]/g, `[${range}]`) : sooner
}

/** Puts other texts in the place of some, each of which must be there. */
export function replaceAll(text: string, pairs: readonly (readonly [string, string])[]): string {
  return pairs.reduce((result, [from, to]) => {
    if (!result.includes(from)) throw new Error(`there is no ${JSON.stringify(from)} to replace`)
    return result.replaceAll(from, to)
  }, text)
}
