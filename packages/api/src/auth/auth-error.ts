import { type ErrorName, RefusalError } from '@catbird/shared/errors'

/** Why a token is refused, as counted, and the name that its sender is told. */
const ERROR_OF = {
  missing: 'AuthenticationRequired',
  malformed: 'InvalidToken',
  type: 'InvalidToken',
  algorithm: 'InvalidToken',
  issuer: 'InvalidToken',
  subject: 'InvalidToken',
  audience: 'BadJwtAudience',
  expiry: 'InvalidToken',
  expired: 'ExpiredToken',
  lifetime: 'InvalidToken',
  issued_at: 'InvalidToken',
  method: 'BadJwtLexiconMethod',
  token_id: 'InvalidToken',
  identity: 'InvalidToken',
  signature: 'BadJwtSignature',
  replayed: 'ReplayedToken',
  ticket: 'InvalidToken',
} as const satisfies Record<string, ErrorName>

export type AuthFailure = keyof typeof ERROR_OF

/**
 * Failures that cost a lookup, a signature or a question to the database. The others cost microseconds, and anybody can have a PDS send them:
 * counted against its address they would keep out everybody else there.
 */
const COSTLY: readonly AuthFailure[] = ['identity', 'signature', 'ticket']

/** A request whose sender did not prove who it is. */
export class AuthError extends RefusalError {
  readonly reason: AuthFailure

  constructor(reason: AuthFailure, message: string, details?: Record<string, unknown>) {
    super(ERROR_OF[reason], message, details)
    this.reason = reason
  }

  get isCostly(): boolean {
    return COSTLY.includes(this.reason)
  }
}
