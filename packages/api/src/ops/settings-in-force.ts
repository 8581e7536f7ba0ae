import type { Setting } from '@catbird/shared/env'
import type { Config } from '../config.ts'
import { SETTINGS } from '../settings.ts'

type Name = keyof typeof SETTINGS
type Value = string | number | boolean | undefined

export type SettingInForce = {
  name: Name
  value: string
  defaultText: string
  /** Differs from its default; of one that is computed nobody knows. */
  isChanged: boolean
  about: string
}

/**
 * What each setting says now. A new one must be added by hand, so that nobody shows a secret without having thought
 * of it.
 */
const VALUES = {
  SERVER_PORT: ({ server }) => server.port,
  HOST: ({ server }) => server.host,
  REQUEST_TIMEOUT_MS: ({ server }) => server.requestTimeoutMs,
  SHUTDOWN_TIMEOUT_MS: ({ server }) => server.shutdownTimeoutMs,
  MAX_INFLIGHT_BYTES: ({ server }) => server.maxInflightBytes,
  MAX_STREAMS: ({ server }) => server.maxStreams,
  DATABASE_URL: ({ database }) => withoutPassword(database.url),
  DATABASE_POOL_MAX: ({ database }) => database.poolMax,
  DATA_DIR: ({ database }) => database.dataDir,
  SHARD_COUNT: ({ shards }) => shards.count,
  ENABLE_ACTOR_SYSTEM: ({ actors }) => actors.isEnabled,
  ACTOR_ROLLOUT_PERCENT: ({ actors }) => actors.rolloutPercent,
  ACTOR_MAILBOX_LIMIT: ({ actors }) => actors.mailboxLimit,
  ACTOR_IDLE_MS: ({ actors }) => actors.idleMs,
  ACTOR_MAX_RESIDENT: ({ actors }) => actors.maxResident,
  COMMIT_MAX_ROWS: ({ commit }) => commit.maxRows,
  SERVICE_DID: ({ auth }) => auth.audiences.join(', '),
  PUBLIC_URL: ({ server }) => server.publicUrl,
  PLC_URL: ({ auth }) => auth.plcUrl,
  ENFORCE_LXM: ({ auth }) => auth.enforceLxm,
  MAX_TOKEN_LIFETIME_S: ({ auth }) => auth.maxTokenLifetimeS,
  TRUSTED_PROXIES: ({ server }) => server.trustedProxies.join(', ') || undefined,
  JWT_SECRET: ({ auth }) => secret(auth.jwtSecret),
  MLS_VALIDATION: ({ mls }) => mls.validation,
  MESSAGE_EPOCH_WINDOW: ({ mls }) => mls.messageEpochWindow,
  MESSAGE_TTL_DAYS: ({ limits }) => limits.messageTtlDays,
  MAX_MEMBERS: ({ limits }) => limits.maxMembers,
  MAX_KEY_PACKAGES: ({ limits }) => limits.maxKeyPackages,
  RATE_LIMIT_ENABLED: ({ rateLimits }) => rateLimits.isEnabled,
  RATE_LIMIT_SEND: ({ rateLimits }) => rateLimits.send,
  RATE_LIMIT_EPHEMERAL: ({ rateLimits }) => rateLimits.ephemeral,
  RATE_LIMIT_READ: ({ rateLimits }) => rateLimits.read,
  RATE_LIMIT_PUBLISH: ({ rateLimits }) => rateLimits.publish,
  RATE_LIMIT_CREATE: ({ rateLimits }) => rateLimits.create,
  RATE_LIMIT_MEMBERSHIP: ({ rateLimits }) => rateLimits.membership,
  RATE_LIMIT_MEMBERSHIP_PER_CONVO: ({ rateLimits }) => rateLimits.membershipPerConvo,
  RATE_LIMIT_OTHER: ({ rateLimits }) => rateLimits.other,
  RATE_LIMIT_BYTES: ({ rateLimits }) => rateLimits.bytes,
  RATE_LIMIT_STORED_BYTES: ({ rateLimits }) => rateLimits.storedBytes,
  RATE_LIMIT_FAILED_AUTH: ({ rateLimits }) => rateLimits.failedAuth,
  RATE_LIMIT_CLAIMS: ({ rateLimits }) => rateLimits.claims,
  RATE_LIMIT_CLAIMS_PER_TARGET: ({ rateLimits }) => rateLimits.claimsPerTarget,
  METRICS_TOKEN: ({ metrics }) => secret(metrics.token),
  METRICS_CONVO_LIMIT: ({ metrics }) => metrics.convoLimit,
  OPS_TOKEN: ({ ops }) => secret(ops.token),
  LOG_LEVEL: ({ log }) => log.level,
} satisfies Record<Name, (config: Config) => Value>

/** Every setting with what it says; of secrets only whether they are set. */
export function settingsInForce(config: Config): SettingInForce[] {
  return (Object.keys(SETTINGS) as Name[]).map((name) => {
    const setting: Setting<unknown> = SETTINGS[name]
    const value: Value = VALUES[name](config)
    return {
      name,
      value: value === undefined ? 'not set' : String(value),
      defaultText: setting.defaultText ?? String(setting.default),
      isChanged: setting.defaultText === undefined && value !== setting.default,
      about: setting.about,
    }
  })
}

function secret(value: string | undefined): string | undefined {
  return value === undefined ? undefined : 'set (not shown)'
}

/** Where it is and who connects; a password may also be among the parameters, so none of them is shown. */
function withoutPassword(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const { protocol, username, password, host, pathname } = new URL(text)
  const user = username === '' ? '' : `${username}${password === '' ? '' : ':•••'}@`
  return `${protocol}//${user}${host}${pathname}`
}
