import type { AddressInfo } from 'node:net'
import { systemClock } from '@catbird/shared/clock'
import { RenewablePool } from '@catbird/shared/renewable-pool'
import { openPool } from '@catbird/shared/sql'
import type { Logger } from 'pino'
import { createApp } from './app.ts'
import { BlockedDids } from './auth/blocked-dids.ts'
import { createAuthenticator } from './auth/create-authenticator.ts'
import type { Config } from './config.ts'
import type { AppContext } from './context.ts'
import { FrontDatabase } from './database/front-database.ts'
import { currentIncarnation } from './database/incarnation.ts'
import { migrate } from './database/migrate.ts'
import { connectionsNeeded, openDatabase } from './database/open-database.ts'
import { checkDatabase } from './database/safety.ts'
import { Ephemerals } from './events/ephemerals.ts'
import { Streams } from './events/streams.ts'
import { startExecutors } from './executors/start-executors.ts'
import { Health } from './health.ts'
import { closeServer, listen } from './http-server.ts'
import { startJobs } from './jobs/start-jobs.ts'
import { RateLimits } from './limits/rate-limits.ts'
import { FrontMetrics } from './metrics.ts'
import { clientAddress, trustProxies } from './middleware/client-address.ts'
import { OpsConsole } from './ops/console.ts'
import { ReadPositions } from './queries/read-positions.ts'
import type { ShardClient } from './shards/shard-client.ts'
import { ShardMetrics } from './shards/shard-metrics.ts'
import { Upgrades } from './upgrades.ts'
import { VERSION } from './version.ts'
import { InflightBudget } from './xrpc/inflight-budget.ts'
import { upgradeHandler } from './xrpc/upgrade-handler.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** Share of the shutdown's time that is kept for the answers to what did not end in time. */
const LAST_ANSWERS = 0.2
const STATEMENT_TIMEOUT_MS = 5000
const JOBS_MS = 2000

export type Service = {
  /** Base URL, with the port that was really taken. */
  url: string
  /** Undefined when the actor system is off. */
  shards: readonly ShardClient[] | undefined
  /** Stops accepting, finishes what was accepted within SHUTDOWN_TIMEOUT_MS, closes what it has opened. */
  stop(): Promise<void>
}

export type ServiceOptions = {
  checkOutputs?: boolean
  /** Told when the server must not go on: somebody should stop it, and start it again. */
  onFatal?: () => void
  /** Told when an operator wants the server to end as it does on SIGTERM. */
  onDrain?: () => void
}

/** Puts the parts together, in the order in which they need each other, and listens. */
export async function startService(
  config: Config,
  log: Logger,
  { checkOutputs = false, onFatal = () => {}, onDrain = () => {} }: ServiceOptions = {},
): Promise<Service> {
  const database = await openDatabase(config, log)
  const pool = new RenewablePool(() =>
    openPool(database.url, {
      max: config.database.poolMax,
      name: 'front',
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    }),
  )
  try {
    const applied = await migrate(database.url)
    if (applied.length > 0) log.info({ applied }, 'Migrations applied')
    await checkDatabase(pool.current, connectionsNeeded(config))
    return await startOnDatabase({ config, log, checkOutputs, onFatal, onDrain, pool, database })
  } catch (error) {
    await pool.close()
    await database.stop()
    throw error
  }
}

type Started = {
  config: Config
  log: Logger
  checkOutputs: boolean
  onFatal: () => void
  onDrain: () => void
  pool: RenewablePool
  database: { url: string; stop(): Promise<void> }
}

async function startOnDatabase(started: Started): Promise<Service> {
  const { config, log, checkOutputs, onFatal, onDrain, pool, database } = started
  let isDraining = false
  let isListening = false
  const metrics = new FrontMetrics({
    rolloutPercent: config.actors.isEnabled ? config.actors.rolloutPercent : 0,
    isReady: async () => isListening && (await health.readiness()).ready,
  })
  const shardMetrics = new ShardMetrics(metrics, config.metrics.convoLimit)
  const front = new FrontDatabase(pool, metrics.queries)
  metrics.observePool('front', config.database.poolMax, () => ({
    inUse: Math.min(pool.calls, config.database.poolMax),
    waiting: Math.max(0, pool.calls - config.database.poolMax),
  }))
  const blockedDids = new BlockedDids(front.query)
  await blockedDids.refresh()
  const authenticator = await createAuthenticator({
    config,
    log,
    sql: pool.current,
    onFailure: (reason) => metrics.authFailed(reason),
  })
  const incarnation = await currentIncarnation(pool.current)
  const executors = await startExecutors({
    config,
    log,
    incarnation: incarnation.incarnation,
    databaseUrl: database.url,
    metrics,
    shardMetrics,
  })
  const shards = executors.actors?.shards
  const streams = new Streams({
    pool,
    databaseUrl: database.url,
    incarnation,
    maxStreams: config.server.maxStreams,
    messageTtlMs: config.limits.messageTtlDays * DAY_MS,
    isBlocked: (did) => blockedDids.has(did),
    metrics,
    log,
  })
  const ephemerals = new Ephemerals({ databaseUrl: database.url, log }, (ephemeral) =>
    streams.passEphemeral(ephemeral),
  )
  await ephemerals.start()
  const trustedProxies = trustProxies(config.server.trustedProxies)
  const ops = await OpsConsole.open({
    config,
    log,
    version: VERSION,
    executor: executors.router,
    shards,
    query: front.query,
    clientAddress: (incoming) => clientAddress(incoming, trustedProxies),
    isDraining: () => isDraining,
    drain: onDrain,
  })
  const context: AppContext = {
    config,
    database: front,
    executor: ops?.executor ?? executors.router,
    authenticator,
    blockedDids,
    rateLimits: new RateLimits(config.rateLimits, systemClock),
    clientAddress: (incoming) => clientAddress(incoming, trustedProxies),
    readPositions: new ReadPositions(front.query),
    streams,
    ephemerals,
    budget: new InflightBudget(config.server.maxInflightBytes),
    metrics,
    clock: systemClock,
    log,
    checkOutputs,
    isDraining: () => isDraining,
  }
  const health = new Health({ pool, shards, version: VERSION, isDraining: () => isDraining })
  const renderMetrics = async () => metrics.render(await shardMetrics.collect(shards ?? []))
  const app = createApp({ context, health, version: VERSION, renderMetrics, ops })
  const upgrades = new Upgrades(upgradeHandler(context))
  const server = await listen(app.fetch, config, upgrades).catch(async (error) => {
    await Promise.all([ops?.stop(Date.now()), executors.stop(Date.now()), streams.close(), ephemerals.stop()])
    throw error
  })
  isListening = true
  const jobs = startJobs({
    database: front,
    databaseUrl: database.url,
    incarnation,
    health,
    blockedDids,
    upgrades,
    metrics,
    messageTtlMs: config.limits.messageTtlDays * DAY_MS,
    onFatal,
    log,
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
      const closed = closeServer(server, deadlineMs, upgrades)
      streams.endAll()
      // None of them is worth waiting for longer.
      const jobsUntilMs = Math.min(deadlineMs, Date.now() + JOBS_MS)
      await Promise.all([jobs.stop(jobsUntilMs), ops?.stop(jobsUntilMs)])
      // Whoever is not done by then must still be told so.
      await executors.stop(deadlineMs - LAST_ANSWERS * config.server.shutdownTimeoutMs)
      await closed
      await Promise.all([streams.close(), ephemerals.stop(), pool.close()])
      await database.stop()
      log.info('Stopped')
    },
  }
}
