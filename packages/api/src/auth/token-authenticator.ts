import type { TokenUse } from '@catbird/shared/commands'
import { AuthError, type AuthFailure } from './auth-error.ts'
import type { Authenticator, Caller } from './authenticator.ts'
import type { DevTokenAuthenticator } from './dev-token.ts'
import type { ServiceAuthenticator } from './service-authenticator.ts'
import { bearerToken, claimedAlgorithm } from './service-token.ts'

export type TokenAuthenticatorOptions = {
  dev: DevTokenAuthenticator
  service: ServiceAuthenticator
  /** Told why, each time that a sender could not prove who it is. */
  onFailure(reason: AuthFailure): void
}

/**
 * Reads the bearer token and has it judged by its kind. HS256 is only ever checked with this server's own secret,
 * and everything else only with the key of the account: no key serves for an algorithm that is not its own.
 */
export class TokenAuthenticator implements Authenticator {
  readonly #options: TokenAuthenticatorOptions

  constructor(options: TokenAuthenticatorOptions) {
    this.#options = options
  }

  async authenticate(authorization: string | undefined, nsid: string): Promise<Caller> {
    const { dev, service } = this.#options
    try {
      const token = bearerToken(authorization)
      const judge = claimedAlgorithm(token) === 'HS256' ? dev : service
      const { did, useToken } = await judge.authenticateToken(token, nsid)
      return useToken ? { did, useToken: () => this.#use(useToken) } : { did }
    } catch (error) {
      throw this.#noted(error)
    }
  }

  #use(useToken: () => TokenUse): TokenUse {
    try {
      return useToken()
    } catch (error) {
      throw this.#noted(error)
    }
  }

  #noted(error: unknown): unknown {
    if (error instanceof AuthError) this.#options.onFailure(error.reason)
    return error
  }
}
