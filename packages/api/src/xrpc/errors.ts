import { ERROR_STATUS, type Refusal } from '@catbird/shared/errors'

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
