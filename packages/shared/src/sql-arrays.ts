import { parse } from 'postgres-array'

/** Object ids of the array types that statements use (PostgreSQL, pg_type). */
const TEXT_ARRAY = 1009
const BIGINT_ARRAY = 1016

/**
 * Arrays for the driver, which would otherwise ask each connection for the types of the database: when that connection is
 * lost meanwhile, nobody handles the failure, and Node ends the process.
 */
export const ARRAY_TYPES = {
  texts: { to: TEXT_ARRAY, from: [TEXT_ARRAY], serialize: toLiteral, parse: (text: string) => parse(text) },
  bigints: {
    to: BIGINT_ARRAY,
    from: [BIGINT_ARRAY],
    serialize: toLiteral,
    parse: (text: string) => parse(text),
  },
}

/** Array input syntax: every element quoted (PostgreSQL, 8.15.6). */
function toLiteral(elements: readonly (string | number)[]): string {
  return `{${elements.map((element) => `"${String(element).replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}
