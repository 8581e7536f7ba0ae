import type { TokenUse } from '@catbird/shared/commands'

/** Who a request is from. */
export type Caller = {
  did: string
  /** Present when the token is good for this one procedure only: uses it up, or throws an `AuthError`. */
  useToken?(): TokenUse
}

/** Throws an `AuthError`, or a `RefusalError` with a 503 name when nobody can tell now. */
export type Authenticator = {
  /**
   * @param authorization the header as it came
   * @param nsid the method that the token must be for
   */
  authenticate(authorization: string | undefined, nsid: string): Promise<Caller>
}
