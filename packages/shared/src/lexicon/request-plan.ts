import { type LexArray, type LexiconDoc, Lexicons, type LexObject, type LexUserType } from '@atproto/lexicon'
import { BYTE_FIELDS } from './byte-fields.ts'
import { DEFS_ID, lexicons, methodDef, NSIDS, readDocument } from './documents.ts'
import type { Nsid } from './types.ts'

/** A field of a request, with what reading it needs worked out in advance. */
export type RequestField = {
  name: string
  /** The snake_case spelling, where it differs. */
  alias: string | undefined
  type: 'string' | 'integer' | 'boolean' | 'bytes' | 'object' | 'array'
  /** Type of an array's elements. */
  itemType: string | undefined
  /** Fields of the object, or of an array's elements. */
  members: readonly RequestField[] | undefined
}

type Property = LexObject['properties'][string]

const plans = new Map<Nsid, readonly RequestField[]>()
const validators = new Lexicons([readDocument(DEFS_ID)])
for (const nsid of NSIDS) {
  const schema = requestSchema(nsid)
  plans.set(nsid, fieldsOf(schema))
  validators.add(validatorDocument(nsid, schema))
}

/** The known fields of a method's input or parameters, in lexicon order. */
export function requestFields(nsid: Nsid): readonly RequestField[] {
  return plans.get(nsid)!
}

/**
 * Holds a decoded request against the lexicon. Returns it with defaults filled in, or what is wrong with it.
 *
 * Parameters and inputs are both checked as plain objects: the library's check of parameters builds an error
 * with a stack for every optional one that is absent.
 */
export function validateRequest(
  nsid: Nsid,
  request: Record<string, unknown>,
): { value: Record<string, unknown> } | { problem: string } {
  const result = validators.validate(nsid, request)
  if (result.success) return { value: result.value as Record<string, unknown> }
  return { problem: result.error.message.replace(/^Object(?:\/| )/, '') }
}

function requestSchema(nsid: Nsid): LexObject {
  const def = methodDef(nsid)
  const schema = def.type === 'procedure' ? def.input?.schema : def.parameters
  if (schema === undefined) return { type: 'object', properties: {} }
  if (schema.type === 'params') return { ...schema, type: 'object' }
  if (schema.type === 'object') return schema
  throw new Error(`${nsid}: the input must be an object written out in the lexicon`)
}

function validatorDocument(nsid: Nsid, schema: LexObject): LexiconDoc {
  const main = structuredClone(schema)
  for (const name of Object.keys(main.properties)) {
    const field = BYTE_FIELDS[name]
    // Base64 strings are decoded before they are checked.
    if (field) main.properties[name] = { type: 'bytes', maxLength: field.maxBytes }
  }
  return { lexicon: 1, id: nsid, defs: { main } }
}

function fieldsOf(schema: LexObject): RequestField[] {
  return Object.entries(schema.properties).map(([name, property]) => toField(name, property))
}

function toField(name: string, property: Property): RequestField {
  const alias = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const field = { name, alias: alias === name ? undefined : alias, itemType: undefined, members: undefined }
  if (Object.hasOwn(BYTE_FIELDS, name)) return { ...field, type: 'bytes' }
  const def = resolve(property)
  if (def.type === 'array') {
    const item = resolve(def.items)
    return { ...field, type: 'array', itemType: item.type, members: membersOf(item) }
  }
  if (def.type === 'object') return { ...field, type: 'object', members: membersOf(def) }
  if (def.type === 'string' || def.type === 'integer' || def.type === 'boolean') {
    return { ...field, type: def.type }
  }
  throw new Error(`request field ${name} has the unsupported type ${def.type}`)
}

function membersOf(def: LexUserType | LexArray['items']): RequestField[] | undefined {
  return def.type === 'object' ? fieldsOf(def) : undefined
}

function resolve(property: Property | LexArray['items']) {
  return property.type === 'ref' ? lexicons.getDefOrThrow(property.ref) : property
}
