/**
 * Every error name that a client can see, with its HTTP status. The names are declared in the lexicons or are
 * standard XRPC names.
 */
export const ERROR_STATUS = {
  InvalidRequest: 400,
  InvalidCursor: 400,
  InvalidDid: 400,
  InvalidCipherSuite: 400,
  InvalidKeyPackage: 400,
  InvalidCommit: 400,
  InvalidWelcome: 400,
  InvalidMessage: 400,
  InvalidEpochRange: 400,
  ExpirationTooFar: 400,
  TooManyMembers: 400,
  TooManyDids: 400,
  InvalidAsset: 400,
  CommitRequired: 400,
  AuthenticationRequired: 401,
  InvalidToken: 401,
  ExpiredToken: 401,
  BadJwtAudience: 401,
  BadJwtLexiconMethod: 401,
  BadJwtSignature: 401,
  ReplayedToken: 401,
  NotMember: 403,
  Forbidden: 403,
  ConvoNotFound: 404,
  WelcomeNotFound: 404,
  KeyPackageNotFound: 404,
  MethodNotAllowed: 405,
  EpochMismatch: 409,
  AlreadyMember: 409,
  LastMember: 409,
  IdempotencyConflict: 409,
  GroupIdTaken: 409,
  WelcomeConsumed: 410,
  MessageTooLarge: 413,
  PayloadTooLarge: 413,
  UnsupportedMediaType: 415,
  RateLimitExceeded: 429,
  TooManyKeyPackages: 429,
  InternalServerError: 500,
  MethodNotImplemented: 501,
  Overloaded: 503,
  ShuttingDown: 503,
  DatabaseUnavailable: 503,
  IdentityUnavailable: 503,
  OutcomeUnknown: 503,
} as const

export type ErrorName = keyof typeof ERROR_STATUS

/**
 * A request answered with "no": plain data, so that it keeps its name across threads. `details` become fields
 * of the JSON reply and, because a proxying PDS passes on nothing else, `key=value` pairs in its message.
 */
export type Refusal = {
  error: ErrorName
  message: string
  details?: Record<string, unknown>
}

export function refusal(error: ErrorName, message: string, details?: Record<string, unknown>): Refusal {
  return details ? { error, message, details } : { error, message }
}

/** Carries a refusal out of nested code on one thread. It never crosses the thread boundary: `refusal` does. */
export class RefusalError extends Error {
  readonly refusal: Refusal

  constructor(error: ErrorName, message: string, details?: Record<string, unknown>) {
    super(`${error}: ${message}`)
    this.name = 'RefusalError'
    this.refusal = refusal(error, message, details)
  }
}
