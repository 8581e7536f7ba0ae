import { systemClock } from '@catbird/shared/clock'
import { isNsid, isProcedure } from '@catbird/shared/lexicon'
import type { Sql } from '@catbird/shared/sql'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { sharedSecret } from '../database/shared-secret.ts'
import type { AuthFailure } from './auth-error.ts'
import type { Authenticator } from './authenticator.ts'
import { devSecret } from './dev-secret.ts'
import { DevTokenAuthenticator } from './dev-token.ts'
import { DidKeys } from './did/did-keys.ts'
import { ReplayMemory } from './replay-memory.ts'
import { ServiceAuthenticator } from './service-authenticator.ts'
import { signingKeyOf } from './signing-key.ts'
import { TokenAuthenticator } from './token-authenticator.ts'

export type AuthenticatorParts = {
  config: Config
  log: Pick<Logger, 'warn'>
  sql: Sql
  onFailure(reason: AuthFailure): void
}

/** Accepts AT Protocol service tokens and, where there is a secret for them, development tokens. */
export async function createAuthenticator({
  config,
  log,
  sql,
  onFailure,
}: AuthenticatorParts): Promise<Authenticator> {
  const { audiences, enforceLxm, maxTokenLifetimeS, plcUrl } = config.auth
  const secret = await devSecret(config)
  if (secret !== undefined && isPublic(config)) {
    log.warn('JWT_SECRET is set and the server is public: whoever has it can act as anybody')
  }
  return new TokenAuthenticator({
    dev: new DevTokenAuthenticator(secret, audiences),
    service: new ServiceAuthenticator({
      audiences,
      enforceLxm,
      maxLifetimeS: maxTokenLifetimeS,
      // A stranger who names ports of this machine would learn which are open.
      keys: new DidKeys({ plcUrl, allowLocalhost: !isPublic(config), toKey: signingKeyOf }),
      replays: new ReplayMemory({ key: await sharedSecret(sql, 'used tokens'), clock: systemClock }),
      clock: systemClock,
      isProcedure: (nsid) => isNsid(nsid) && isProcedure(nsid),
    }),
    onFailure,
  })
}

/** Whether others than this machine can reach the server, perhaps through a proxy on it. */
function isPublic({ server }: Pick<Config, 'server'>): boolean {
  const { host, publicUrl, trustedProxies } = server
  const isLocalUrl = publicUrl === undefined || isLoopback(new URL(publicUrl).hostname)
  return !isLoopback(host) || !isLocalUrl || trustedProxies.length > 0
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127\./.test(host)
}
