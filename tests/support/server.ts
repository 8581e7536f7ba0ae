import { loadConfig } from '@catbird/api/config'
import { serializers } from '@catbird/api/logger'
import { type Service, startService } from '@catbird/api/service'
import { pino } from 'pino'
import { TestClient } from './client.ts'
import { TEST_AUDIENCE, TEST_SECRET } from './identity.ts'
import { keepLogLine } from './log-secrets.ts'
import { createTestDatabase, type TestDatabase } from './postgres.ts'

/** The ways in which a server can run commands; what must hold in all of them is tested in each. */
export const MODES = [
  { name: 'actors on 1 shard', env: { ENABLE_ACTOR_SYSTEM: 'true', SHARD_COUNT: '1' } },
  { name: 'actors on 4 shards', env: { ENABLE_ACTOR_SYSTEM: 'true', SHARD_COUNT: '4' } },
  { name: 'direct', env: { ENABLE_ACTOR_SYSTEM: 'false' } },
] as const

export type TestEnv = Record<string, string>

export type TestServer = {
  url: string
  databaseUrl: string
  shards: Service['shards']
  /** A client that acts as the given DID. */
  as(did: string): TestClient
  /** Log lines so far, parsed. */
  logs: Record<string, unknown>[]
  stop(): Promise<void>
}

/** A real server in this process, on a database of its own unless one is given; outputs are held to the lexicons. */
export async function startTestServer(env: TestEnv = {}, database?: TestDatabase): Promise<TestServer> {
  const own = database ? undefined : await createTestDatabase()
  const databaseUrl = (database ?? own)!.url
  const config = loadConfig({ ...testEnv(databaseUrl), ...env })
  const logs: Record<string, unknown>[] = []
  const log = pino(
    { level: 'debug', serializers, formatters: { level: (label) => ({ level: label.toUpperCase() }) } },
    {
      write(line) {
        logs.push(JSON.parse(line))
        keepLogLine(line)
      },
    },
  )
  const service = await startService(config, log, { checkOutputs: true })
  return {
    url: service.url,
    databaseUrl,
    shards: service.shards,
    as: (did) => new TestClient(service.url, did),
    logs,
    async stop() {
      await service.stop()
      await own?.drop()
    },
  }
}

/** Two servers on one database, one with actors and one without; a client calls them in turn. */
export async function startMixedServers(): Promise<Pick<TestServer, 'as' | 'stop' | 'databaseUrl'>> {
  const database = await createTestDatabase()
  const servers = [
    await startTestServer({ SHARD_COUNT: '2' }, database),
    await startTestServer({ ENABLE_ACTOR_SYSTEM: 'false' }, database),
  ]
  const urls = servers.map(({ url }) => url)
  return {
    databaseUrl: database.url,
    as: (did) => new TestClient(urls, did),
    async stop() {
      await Promise.all(servers.map((server) => server.stop()))
      await database.drop()
    },
  }
}

/** The environment of a test server; also for servers in processes of their own. */
export function testEnv(databaseUrl: string): TestEnv {
  return {
    DATABASE_URL: databaseUrl,
    DATABASE_POOL_MAX: '8',
    SERVER_PORT: '0',
    HOST: '127.0.0.1',
    SERVICE_DID: TEST_AUDIENCE,
    RATE_LIMIT_ENABLED: 'false',
    JWT_SECRET: TEST_SECRET,
  }
}
