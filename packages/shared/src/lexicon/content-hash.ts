import { createHash } from 'node:crypto'
import { type RequestField, requestFields } from './request-plan.ts'
import type { Nsid } from './types.ts'

/**
 * Lower-case hex SHA-256 over what a parsed input says: its known fields in lexicon order, without the
 * idempotency key. Equal for every spelling of the same content, different for any other content.
 *
 * What is hashed is a JSON text followed by the bytes that it stands for. The text ends where its array closes
 * and gives the length of each run of bytes, so no two inputs share an encoding; an absent field is left out of
 * the text, an empty one is in it. A new optional field changes no hash already stored.
 */
export function contentHash(nsid: Nsid, input: object): string {
  const runs: Uint8Array[] = []
  const fields = requestFields(nsid).filter((field) => field.name !== 'idempotencyKey')
  const text = JSON.stringify([nsid, describeFields(fields, input, runs)])
  const hash = createHash('sha256').update(text)
  for (const bytes of runs) hash.update(bytes)
  return hash.digest('hex')
}

/** Name and value of each field that is present. Moves bytes to `runs` and leaves their length. */
function describeFields(fields: readonly RequestField[], value: object, runs: Uint8Array[]): unknown[] {
  const present: unknown[] = []
  for (const field of fields) {
    const member = (value as Record<string, unknown>)[field.name]
    if (member !== undefined) present.push(field.name, describe(field, member, runs))
  }
  return present
}

function describe(field: RequestField, value: unknown, runs: Uint8Array[]): unknown {
  if (value instanceof Uint8Array) {
    runs.push(value)
    return value.length
  }
  if (Array.isArray(value)) return value.map((item) => describe(field, item, runs))
  if (field.members && typeof value === 'object' && value !== null) {
    return describeFields(field.members, value, runs)
  }
  return value
}
