import { measured } from '@catbird/shard-worker/store/measured-store'
import { PgStore } from '@catbird/shard-worker/store/pg-store'
import { systemClock } from '@catbird/shared/clock'
import { CommandTelemetry } from '@catbird/shared/command-telemetry'
import { newEntryId } from '@catbird/shared/ids'
import { LogCap } from '@catbird/shared/log-cap'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { FrontMetrics } from '../metrics.ts'
import { ShardClient } from '../shards/shard-client.ts'
import type { ShardMetrics } from '../shards/shard-metrics.ts'
import { ActorExecutor } from './actor-executor.ts'
import { CommandRouter } from './command-router.ts'
import { DirectExecutor } from './direct-executor.ts'

const DAY_MS = 24 * 60 * 60 * 1000

export type ExecutorParts = {
  config: Config
  log: Logger
  databaseUrl: string
  /** Number of the database's present life. */
  incarnation: number
  metrics: FrontMetrics
  shardMetrics: ShardMetrics
}

/** Starts what runs commands: the direct executor always, the shards unless the actor system is off. */
export async function startExecutors(parts: ExecutorParts) {
  const { config, log, databaseUrl, incarnation, metrics, shardMetrics } = parts
  const policy = {
    maxMembers: config.limits.maxMembers,
    messageEpochWindow: config.mls.messageEpochWindow,
    messageTtlMs: config.limits.messageTtlDays * DAY_MS,
  }
  const store = new PgStore({
    url: databaseUrl,
    incarnation,
    clock: systemClock,
    policy,
    name: 'direct',
    lockers: config.database.poolMax,
  })
  const cappedLog = new LogCap(
    systemClock,
    ({ level, fields, message }) => log[level](fields, message),
    log.isLevelEnabled('debug'),
  )
  const direct = new DirectExecutor({
    store: measured(store, {
      timer: metrics.queries,
      onDuplicate: () => metrics.integrityViolations.inc({ rule: 'unique_index' }),
      onFault: ({ requestId, convoId, type }, error) =>
        log.error({ err: error, requestId, convoId, command: type }, 'A command failed'),
    }),
    clock: systemClock,
    newId: newEntryId,
    telemetry: new CommandTelemetry(metrics.registry, 'direct', cappedLog),
    log,
    maxRunning: config.database.poolMax,
    queueLimit: config.actors.mailboxLimit,
  })
  metrics.observePool('direct', config.database.poolMax, () => direct.load)
  const { isEnabled, rolloutPercent } = config.actors
  // Off means off: no shard thread is started, so that nothing in it can break a rollback.
  const actors = isEnabled
    ? startShards({ config, log, databaseUrl, incarnation, policy, shardMetrics, frontMetrics: metrics })
    : undefined
  await actors?.start()
  return {
    actors,
    direct,
    router: new CommandRouter(actors, direct, rolloutPercent),
    /** Finishes what is in hand, until the deadline (Unix ms); what is left is told that nobody knows. */
    async stop(deadlineMs: number) {
      await Promise.all([actors?.stop(deadlineMs), direct.stop(deadlineMs)])
      await store.close()
    },
  }
}

type ShardParts = Pick<ExecutorParts, 'config' | 'log' | 'databaseUrl' | 'incarnation' | 'shardMetrics'> & {
  frontMetrics: FrontMetrics
  policy: { maxMembers: number; messageEpochWindow: number; messageTtlMs: number }
}

function startShards(parts: ShardParts): ActorExecutor {
  const { config, log, databaseUrl, incarnation, policy, shardMetrics, frontMetrics } = parts
  const { actors, commit, metrics } = config
  const clients = Array.from({ length: config.shards.count }, (_, shard) => {
    const settings = {
      shard,
      databaseUrl,
      incarnation,
      policy,
      mailboxCommands: actors.mailboxLimit,
      maxResident: actors.maxResidentPerShard,
      idleMs: actors.idleMs,
      batchRows: commit.maxRows,
      metricsConvoLimit: metrics.convoLimit,
      isDebug: log.isLevelEnabled('debug'),
    }
    frontMetrics.shardExpected(shard)
    return new ShardClient(settings, log, {
      onRestart: (_, reason) => frontMetrics.shardRestarted(shard, reason),
      onLastStatus: (shard, status) => shardMetrics.retire(shard, status),
    })
  })
  return new ActorExecutor(clients)
}
