import { availableParallelism } from 'node:os'
import { ConfigError, type Env, readSettings, type SettingValues } from '@catbird/shared/env'
import { SETTINGS } from './settings.ts'

type Values = SettingValues<typeof SETTINGS>

/** The server's configuration. All times in milliseconds unless named otherwise. */
export type Config = ReturnType<typeof toConfig>

/**
 * Reads the configuration from the environment, the only place where that happens. Throws one `ConfigError` that
 * lists every problem by the variable's name. A command-line tool that takes no requests needs no audience.
 */
export function loadConfig(env: Env, purpose: 'server' | 'tool' = 'server'): Config {
  const { values, problems } = readSettings(SETTINGS, env)
  if (purpose === 'server' && lacksAudience(values) && !problems.some((p) => p.startsWith('SERVICE_DID '))) {
    problems.push(
      'SERVICE_DID is required with DATABASE_URL: the DID that tokens for this service have as audience',
    )
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return toConfig(values)
}

/** Only the embedded database, for use on this machine, has a default. */
function lacksAudience(values: Values): boolean {
  return values.DATABASE_URL !== undefined && !values.SERVICE_DID?.length
}

function toConfig(values: Values) {
  const isEmbedded = values.DATABASE_URL === undefined
  // The main thread and PostgreSQL need a core as well.
  const shardCount = values.SHARD_COUNT ?? Math.max(1, availableParallelism() - 1)
  return deepFreeze({
    server: {
      port: values.SERVER_PORT,
      // Without a database of their own people try things out: nobody else on their network should join in.
      host: values.HOST ?? (isEmbedded ? '127.0.0.1' : '0.0.0.0'),
      requestTimeoutMs: values.REQUEST_TIMEOUT_MS,
      shutdownTimeoutMs: values.SHUTDOWN_TIMEOUT_MS,
      maxInflightBytes: values.MAX_INFLIGHT_BYTES,
      maxStreams: values.MAX_STREAMS,
      /** Undefined when no SERVICE_DID tells either. */
      publicUrl: values.PUBLIC_URL ?? publicUrlOf(audiencesOf(values)),
      trustedProxies: values.TRUSTED_PROXIES ?? [],
    },
    database: {
      /** Undefined: an embedded PostgreSQL in `dataDir`. */
      url: values.DATABASE_URL,
      dataDir: values.DATA_DIR,
      poolMax: values.DATABASE_POOL_MAX,
    },
    shards: { count: shardCount },
    actors: {
      isEnabled: values.ENABLE_ACTOR_SYSTEM,
      rolloutPercent: values.ACTOR_ROLLOUT_PERCENT,
      mailboxLimit: values.ACTOR_MAILBOX_LIMIT,
      idleMs: values.ACTOR_IDLE_MS,
      maxResident: values.ACTOR_MAX_RESIDENT,
      maxResidentPerShard: Math.max(1, Math.floor(values.ACTOR_MAX_RESIDENT / shardCount)),
    },
    commit: { maxRows: values.COMMIT_MAX_ROWS },
    auth: {
      audiences: audiencesOf(values),
      jwtSecret: values.JWT_SECRET,
      plcUrl: values.PLC_URL,
      enforceLxm: values.ENFORCE_LXM,
      maxTokenLifetimeS: values.MAX_TOKEN_LIFETIME_S,
    },
    mls: { validation: values.MLS_VALIDATION, messageEpochWindow: values.MESSAGE_EPOCH_WINDOW },
    limits: {
      messageTtlDays: values.MESSAGE_TTL_DAYS,
      maxMembers: values.MAX_MEMBERS,
      maxKeyPackages: values.MAX_KEY_PACKAGES,
    },
    rateLimits: {
      isEnabled: values.RATE_LIMIT_ENABLED,
      send: values.RATE_LIMIT_SEND,
      ephemeral: values.RATE_LIMIT_EPHEMERAL,
      read: values.RATE_LIMIT_READ,
      publish: values.RATE_LIMIT_PUBLISH,
      create: values.RATE_LIMIT_CREATE,
      membership: values.RATE_LIMIT_MEMBERSHIP,
      membershipPerConvo: values.RATE_LIMIT_MEMBERSHIP_PER_CONVO,
      other: values.RATE_LIMIT_OTHER,
      bytes: values.RATE_LIMIT_BYTES,
      storedBytes: values.RATE_LIMIT_STORED_BYTES,
      failedAuth: values.RATE_LIMIT_FAILED_AUTH,
      claims: values.RATE_LIMIT_CLAIMS,
      claimsPerTarget: values.RATE_LIMIT_CLAIMS_PER_TARGET,
    },
    metrics: { token: values.METRICS_TOKEN, convoLimit: values.METRICS_CONVO_LIMIT },
    /** The operator console; without a token there is none. */
    ops: { token: values.OPS_TOKEN },
    log: { level: values.LOG_LEVEL },
  })
}

function audiencesOf(values: Values): string[] {
  return values.SERVICE_DID?.length ? values.SERVICE_DID : [`did:web:localhost%3A${values.SERVER_PORT}`]
}

function publicUrlOf(audiences: readonly string[]): string | undefined {
  const host = audiences.map((did) => /^did:web:([^:]+)$/.exec(did)?.[1]).find((name) => name !== undefined)
  if (host === undefined) return undefined
  const name = decodeURIComponent(host)
  return /^localhost(:|$)/.test(name) ? `http://${name}` : `https://${name}`
}

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T

function deepFreeze<T extends object>(value: T): DeepReadonly<T> {
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null) deepFreeze(part)
  }
  return Object.freeze(value) as DeepReadonly<T>
}
