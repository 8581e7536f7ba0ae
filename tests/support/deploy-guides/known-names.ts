import { existsSync, globSync, readFileSync } from 'node:fs'
import { RULES } from '@catbird/api/audit/report'
import { SETTINGS } from '@catbird/api/settings'
import { ERROR_STATUS } from '@catbird/shared/errors'
import { parse } from 'yaml'
import { COMPOSE, COMPOSE_TEXT, variablesIn } from '../deploy/compose-file.ts'
import { ROOT } from '../deploy/scripts.ts'

type AlertRule = { alert: string; expr: string; annotations: { runbook_url: string } }

const read = (path: string): string => readFileSync(`${ROOT}${path}`, 'utf8')

export const ALERTS: AlertRule[] = parse(read('deploy/alerts.yml')).groups.flatMap(
  ({ rules }: { rules: AlertRule[] }) => rules,
)

/** Settings of the server, and what docker-compose.yml asks for beside them. */
export const SETTING_NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(SETTINGS),
  ...variablesIn(COMPOSE_TEXT).map(({ name }) => name),
])

/** What the server and its entrypoint can say, and what their code names. */
const SOURCES = globSync(['packages/*/src/**/*.ts', 'deploy/*.sh'], { cwd: ROOT })
  .filter((path) => !path.includes('.test.'))
  .map(read)
  .join('\n')

export function isInSources(phrase: string): boolean {
  return SOURCES.includes(phrase)
}

/** What looks like the name of a metric and is one of the database's or of a rule. */
export const OTHER_NAMES: ReadonlySet<string> = new Set([
  ...RULES,
  'unique_index',
  ...Array.from(read('migrations/schema.sql').matchAll(/\b[a-z]+(?:_[a-z0-9]+)+\b/g), ([name]) => name),
])

export const ERROR_NAMES: ReadonlySet<string> = new Set(Object.keys(ERROR_STATUS))

/** Kind and name of each Kubernetes object. */
export const MANIFESTS: ReadonlySet<string> = new Set(
  globSync('deploy/kubernetes/*.yaml', { cwd: ROOT })
    .map((path) => parse(read(path)))
    .filter(({ metadata }) => metadata?.name)
    .map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`),
)

export const NPM_SCRIPTS: ReadonlySet<string> = new Set(Object.keys(JSON.parse(read('package.json')).scripts))

/** In deploy/, in one of its directories, or from the root. An .env is the operator's own. */
export function isFile(name: string): boolean {
  const places = ['', 'deploy/', 'deploy/kubernetes/']
  return name === '.env' || places.some((place) => existsSync(`${ROOT}${place}${name}`))
}

const DOCKER = ['compose', 'logs', 'ps', 'tag', 'system']
const DOCKER_COMPOSE = ['up', 'stop', 'exec', 'run', 'build', 'ps']

/** What a line says to docker that docker-compose.yml does not know. */
export function unknownToDocker(line: string): string[] {
  if (!line.startsWith('docker ')) return []
  const [, command = '', subcommand = ''] = line.split(' ')
  const problems: string[] = []
  if (!DOCKER.includes(command)) problems.push(command)
  if (command === 'compose' && !DOCKER_COMPOSE.includes(subcommand)) problems.push(subcommand)
  const services = Object.keys(COMPOSE.services)
  const known = [
    ...services,
    ...Object.values(COMPOSE.services).flatMap((one) => [one.container_name, one.image]),
  ]
  for (const name of line.match(/\b(?:[\w-]*mls-server[\w-]*|postgres|grafana|prometheus)\b/g) ?? []) {
    if (!known.includes(name)) problems.push(name)
  }
  const mounted = COMPOSE.services.postgres.volumes!.map((volume) => volume.split(':')[0]!.replace('./', ''))
  for (const script of line.match(/\b[\w-]+\.sh\b/g) ?? [])
    if (!mounted.includes(script)) problems.push(script)
  return problems
}
