import { systemClock } from '@catbird/shared/clock'
import { isNsid, methodKind } from '@catbird/shared/lexicon'
import type { Sql } from '@catbird/shared/sql'
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

/** Accepts AT Protocol service tokens and, where there is a secret for them, development tokens. */
export async function createAuthenticator(
  config: Config,
  sql: Sql,
  onFailure: (reason: AuthFailure) => void,
): Promise<Authenticator> {
  const { audiences, enforceLxm, maxTokenLifetimeS, plcUrl } = config.auth
  return new TokenAuthenticator({
    dev: new DevTokenAuthenticator(await devSecret(config), audiences),
    service: new ServiceAuthenticator({
      audiences,
      enforceLxm,
      maxLifetimeS: maxTokenLifetimeS,
      // Whoever can name a port of this machine must be on it already.
      keys: new DidKeys({ plcUrl, allowLocalhost: isLoopback(config.server.host), toKey: signingKeyOf }),
      replays: new ReplayMemory({ key: await sharedSecret(sql, 'used tokens'), clock: systemClock }),
      clock: systemClock,
      isProcedure: (nsid) => isNsid(nsid) && methodKind(nsid) === 'procedure',
    }),
    onFailure,
  })
}

/** Whether only this machine can reach a server that listens there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}
