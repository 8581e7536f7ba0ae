import { type Reply, refused } from '@catbird/shared/commands'
import { StoreError, type StoreFailure } from './store.ts'

/** SQLSTATEs after which the transaction is known to be undone and the same write may succeed. */
const PASSING = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available
  '57014', // query_canceled: statement_timeout
  '23505', // unique_violation: a concurrent writer was first; the guards see its row on the next try
])

/** Classes of SQLSTATE that blame the values: data exception, integrity constraint violation, program limit. */
const DATA = ['22', '23', '54']

/** SQLSTATE classes and driver codes that say the server cannot be reached or takes no work, nothing was begun. */
const UNAVAILABLE = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'CONNECT_TIMEOUT',
  '57P03', // cannot_connect_now
  '53300', // too_many_connections
  '3D000', // invalid_catalog_name
  '28P01', // invalid_password
])

/** Sorts any error of the driver into the four kinds that the engine acts on. */
export function toStoreError(error: unknown): StoreError {
  return error instanceof StoreError ? error : new StoreError(classify(error), error)
}

function classify(error: unknown): StoreFailure {
  const code = codeOf(error)
  if (code === undefined) return 'unknown'
  if (UNAVAILABLE.has(code)) return 'unavailable'
  if (PASSING.has(code)) return 'rolledBack'
  if (DATA.includes(code.slice(0, 2))) return 'data'
  // 57P01 … 57P05 and class 08 end the connection, possibly after COMMIT took effect.
  if (/^(57P|08)/.test(code) || !/^[0-9A-Z]{5}$/.test(code)) return 'unknown'
  return 'rolledBack'
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** What a caller is told whose command failed in the database. */
export function refusedByStore(failure: StoreFailure): Reply {
  switch (failure) {
    case 'unavailable':
      return refused('DatabaseUnavailable', 'the database cannot be reached')
    case 'unknown':
      return refused('OutcomeUnknown', 'the write may or may not have happened; retry with the same key')
    case 'rolledBack':
      return refused('Overloaded', 'the conversation is busy')
    case 'data':
      return refused('InternalServerError', 'the content cannot be stored')
  }
}
