import { ERROR_STATUS, type Refusal, RefusalError, refusal } from '@catbird/shared/errors'

/** Seconds after which a refused client may come back. */
const RETRY_AFTER = '1'

export type ErrorResponse = { status: number; headers: Record<string, string>; body: string }

/** A refusal as HTTP: details both as fields and, for clients behind a proxying PDS, in the message. */
export function errorResponse({ error, message, details = {} }: Refusal): ErrorResponse {
  const status = ERROR_STATUS[error]
  const pairs = flatten(details)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ')
  const headers: Record<string, string> = {}
  if (status === 429 || status === 503) headers['Retry-After'] = RETRY_AFTER
  if (status === 401) headers['WWW-Authenticate'] = 'Bearer'
  const text = pairs ? `${message} (${pairs})` : message
  return { status, headers, body: JSON.stringify({ ...details, error, message: text }) }
}

/** The winning commit is flattened to winnerSeq, winnerEpoch, winnerSha256; lists to indexed keys. */
function flatten(details: Record<string, unknown>, prefix = ''): [string, unknown][] {
  return Object.entries(details).flatMap(([key, value]): [string, unknown][] => {
    const name = prefix ? `${prefix}${key[0]!.toUpperCase()}${key.slice(1)}` : shortName(key)
    if (Array.isArray(value)) return value.flatMap((item, i) => flatten({ [`${name}${i}`]: item }))
    if (typeof value === 'object' && value !== null) return flatten({ ...value }, name)
    return value === undefined ? [] : [[name, value]]
  })
}

function shortName(key: string): string {
  return key === 'winningCommit' ? 'winner' : key
}

/** What a request is answered that ended in an exception: only a fault becomes InternalServerError, and is told. */
export function toRefusal(thrown: unknown, onFault: (fault: unknown) => void): Refusal {
  if (thrown instanceof RefusalError) return thrown.refusal
  // By name, so that nobody mistakes an outage for a bug.
  if (isDatabaseAway(thrown)) return refusal('DatabaseUnavailable', 'the database cannot be reached')
  onFault(thrown)
  return refusal('InternalServerError', 'internal error')
}

const DATABASE_AWAY =
  /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|ENOTFOUND|EHOSTUNREACH|57P|57014|53|08|3D000|28|55P03|40P01)/

function isDatabaseAway(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && DATABASE_AWAY.test(String(thrown.code))
}
