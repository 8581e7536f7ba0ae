/** The statuses of the wire contract, written out again so that the server's own table is held to them. */
export const CONTRACT_STATUS = {
  400: [
    'InvalidRequest',
    'InvalidCursor',
    'InvalidDid',
    'InvalidCipherSuite',
    'InvalidKeyPackage',
    'InvalidCommit',
    'InvalidWelcome',
    'InvalidMessage',
    'InvalidEpochRange',
    'ExpirationTooFar',
    'TooManyMembers',
    'TooManyDids',
    'InvalidAsset',
    'CommitRequired',
  ],
  401: [
    'AuthenticationRequired',
    'InvalidToken',
    'ExpiredToken',
    'BadJwtAudience',
    'BadJwtLexiconMethod',
    'BadJwtSignature',
    'ReplayedToken',
  ],
  403: ['NotMember', 'Forbidden'],
  404: ['ConvoNotFound', 'WelcomeNotFound', 'KeyPackageNotFound'],
  405: ['MethodNotAllowed'],
  409: ['EpochMismatch', 'AlreadyMember', 'LastMember', 'IdempotencyConflict', 'GroupIdTaken'],
  410: ['WelcomeConsumed'],
  413: ['MessageTooLarge', 'PayloadTooLarge'],
  415: ['UnsupportedMediaType'],
  429: ['RateLimitExceeded', 'TooManyKeyPackages'],
  500: ['InternalServerError'],
  501: ['MethodNotImplemented'],
  503: ['Overloaded', 'ShuttingDown', 'DatabaseUnavailable', 'IdentityUnavailable', 'OutcomeUnknown'],
} as const

export type ContractError = (typeof CONTRACT_STATUS)[keyof typeof CONTRACT_STATUS][number]

/** The status that the contract gives an error name. */
export function contractStatus(name: ContractError): number {
  const entry = Object.entries(CONTRACT_STATUS).find(([, names]) =>
    (names as readonly string[]).includes(name),
  )
  return Number(entry?.[0])
}
