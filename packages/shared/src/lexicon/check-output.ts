import type { LexArray, LexObject, LexUserType } from '@atproto/lexicon'
import { BASE64_TEXT_OUTPUTS } from './byte-fields.ts'
import { lexicons, methodDef } from './documents.ts'
import type { Nsid } from './types.ts'

type Property = LexObject['properties'][string] | LexArray['items'] | LexUserType

/**
 * Holds an output in wire form against the lexicon and the conventions of the contract: no undeclared field,
 * bytes and base64 strings in the standard alphabet with padding, timestamps in UTC with milliseconds.
 * For tests and the server's test mode; too slow for every reply.
 * @throws Error with the reason
 */
export function assertOutput(nsid: Nsid, output: unknown): void {
  const def = methodDef(nsid)
  const schema = def.type === 'subscription' ? undefined : def.output?.schema
  if (schema === undefined) throw new Error(`${nsid} has no output`)
  lexicons.assertValidXrpcOutput(nsid, fromWire(schema, output, 'output'))
}

/** The value as the lexicon library wants it. A value of another JSON type is left to the library. */
function fromWire(property: Property, value: unknown, path: string): unknown {
  const def = property.type === 'ref' ? lexicons.getDefOrThrow(property.ref) : property
  if (def.type === 'bytes') return bytesFromWire(value, path)
  if (def.type === 'array' && Array.isArray(value)) {
    return value.map((item, index) => fromWire(def.items, item, `${path}/${index}`))
  }
  if (def.type === 'object' && typeof value === 'object' && value !== null) {
    return objectFromWire(def, value, path)
  }
  if (def.type === 'string' && typeof value === 'string') checkString(def.format, value, path)
  return value
}

function objectFromWire(def: LexObject, value: object, path: string): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(value)) {
    // JSON leaves undefined out.
    if (member === undefined) continue
    const property = def.properties[name]
    if (property === undefined) throw new Error(`${path}/${name} is not in the lexicon`)
    result[name] = fromWire(property, member, `${path}/${name}`)
  }
  return result
}

function bytesFromWire(value: unknown, path: string): Uint8Array {
  const text = typeof value === 'object' && value !== null && '$bytes' in value ? value.$bytes : undefined
  if (typeof text !== 'string') throw new Error(`${path} must be {"$bytes": base64}`)
  checkBase64(text, path)
  return Buffer.from(text, 'base64')
}

function checkString(format: string | undefined, value: string, path: string): void {
  if (format === 'datetime' && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value)) {
    throw new Error(`${path} must be a UTC time with milliseconds`)
  }
  if (BASE64_TEXT_OUTPUTS.has(path.slice(path.lastIndexOf('/') + 1))) checkBase64(value, path)
}

function checkBase64(text: string, path: string): void {
  if (Buffer.from(text, 'base64').toString('base64') !== text) {
    throw new Error(`${path} must be base64 in the standard alphabet with padding`)
  }
}
