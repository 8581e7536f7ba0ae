import type { AddressInfo } from 'node:net'
import { systemClock } from '@catbird/shared/clock'
import { openPool, type Pool } from '@catbird/shared/sql'
import type { Logger } from 'pino'
import { createApp } from './app.ts'
import { devSecret } from './auth/dev-secret.ts'
import { DevTokenAuthenticator } from './auth/dev-token.ts'
import type { Config } from './config.ts'
import type { AppContext } from './context.ts'
import { migrate } from './database/migrate.ts'
import { openDatabase } from './database/open-database.ts'
import { checkDatabase } from './database/safety.ts'
import { startExecutors } from './executors/start-executors.ts'
import { Health } from './health.ts'
import { closeServer, listen } from './http-server.ts'
import { cleanUp } from './jobs/clean-up.ts'
import { Scheduler } from './jobs/scheduler.ts'
import { FrontMetrics } from './metrics.ts'
import { ReadPositions } from './queries/read-positions.ts'
import type { ShardClient } from './shards/shard-client.ts'
import { ShardMetrics } from './shards/shard-metrics.ts'
import { VERSION } from './version.ts'
import { InflightBudget } from './xrpc/inflight-budget.ts'

const CLEAN_UP_MS = 60_000
const STATEMENT_TIMEOUT_MS = 5000
/** Each shard's writer and two readers. */
const CONNECTIONS_PER_SHARD = 3

export type Service = {
  /** Base URL, with the port that was really taken. */
  url: string
  /** Undefined when the actor system is off. */
  shards: readonly ShardClient[] | undefined
  /** Stops accepting, finishes what was accepted, flushes, closes; all within SHUTDOWN_TIMEOUT_MS. */
  stop(): Promise<void>
}

export type ServiceOptions = { checkOutputs?: boolean }

/** Puts the parts together, in the order in which they need each other, and listens. */
export async function startService(
  config: Config,
  log: Logger,
  { checkOutputs = false }: ServiceOptions = {},
): Promise<Service> {
  const database = await openDatabase(config, log)
  const opened = { pool: undefined as Pool | undefined }
  try {
    const applied = await migrate(database.url)
    if (applied.length > 0) log.info({ applied }, 'Migrations applied')
    const sql = openPool(database.url, {
      max: config.database.poolMax,
      name: 'front',
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    })
    opened.pool = sql
    const shardConnections = config.actors.isEnabled ? config.shards.count * CONNECTIONS_PER_SHARD : 0
    await checkDatabase(sql, 2 * config.database.poolMax + shardConnections)
    return await startOnDatabase({ config, log, checkOutputs, sql, database })
  } catch (error) {
    await opened.pool?.end({ timeout: 1 })
    await database.stop()
    throw error
  }
}

type Started = {
  config: Config
  log: Logger
  checkOutputs: boolean
  sql: Pool
  database: { url: string; stop(): Promise<void> }
}

async function startOnDatabase({ config, log, checkOutputs, sql, database }: Started): Promise<Service> {
  let isDraining = false
  let isListening = false
  const metrics = new FrontMetrics({
    rolloutPercent: config.actors.isEnabled ? config.actors.rolloutPercent : 0,
    isReady: () => isListening && !isDraining,
  })
  const shardMetrics = new ShardMetrics(metrics)
  const executors = await startExecutors({
    config,
    log,
    sql,
    databaseUrl: database.url,
    metrics,
    shardMetrics,
  })
  const shards = executors.actors?.shards
  const context: AppContext = {
    config,
    sql,
    executor: executors.router,
    authenticator: new DevTokenAuthenticator(await devSecret(config), config.auth.audiences),
    readPositions: new ReadPositions(sql),
    budget: new InflightBudget(config.server.maxInflightBytes),
    metrics,
    clock: systemClock,
    log,
    checkOutputs,
    isDraining: () => isDraining,
  }
  const health = new Health({ sql, shards, version: VERSION, isDraining: () => isDraining })
  const renderMetrics = async () => metrics.render(await shardMetrics.collect(shards ?? []))
  const app = createApp({ context, health, version: VERSION, renderMetrics })
  const server = await listen(app.fetch, config)
  isListening = true
  const cleaner = new Scheduler('clean-up', CLEAN_UP_MS, log, async () => {
    log.debug(await cleanUp(sql), 'Cleaned up')
  })
  const { port } = server.address() as AddressInfo
  const executor = shards ? `actors on ${shards.length} shard${shards.length === 1 ? '' : 's'}` : 'direct'
  const { rolloutPercent } = config.actors
  log.info(
    { port, executor, rolloutPercent, version: VERSION },
    `Serving on port ${port}, executor: ${executor}`,
  )
  return {
    url: `http://localhost:${port}`,
    shards,
    async stop() {
      const deadlineMs = Date.now() + config.server.shutdownTimeoutMs
      isDraining = true
      log.info('Draining')
      const closed = closeServer(server, deadlineMs)
      await Promise.all([executors.actors?.stop(deadlineMs), executors.direct.stop(deadlineMs)])
      await closed
      await cleaner.stop()
      await executors.closeStore()
      await sql.end({ timeout: 1 })
      await database.stop()
      log.info('Stopped')
    },
  }
}
