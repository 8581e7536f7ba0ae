import { RefusalError } from '../errors.ts'
import { decodeByteField } from './byte-fields.ts'
import { unusableText } from './named-checks.ts'
import type { RequestField } from './request-plan.ts'

type JsonObject = Record<string, unknown>

/** Picks the known fields out of a JSON body and decodes those that carry bytes; nothing is validated yet. */
export function readBody(fields: readonly RequestField[], json: unknown): JsonObject {
  if (!isJsonObject(json)) throw new RefusalError('InvalidRequest', 'the body must be a JSON object')
  const body: JsonObject = {}
  for (const field of fields) {
    const value = topLevelValue(json, field)
    if (value === undefined) continue
    body[field.name] = field.type === 'bytes' ? decodeByteField(field.name, value) : keepKnown(field, value)
  }
  return body
}

/** Picks the known fields out of a query string and gives them their type; nothing is validated yet. */
export function readQuery(fields: readonly RequestField[], query: URLSearchParams): JsonObject {
  const parameters: JsonObject = {}
  for (const field of fields) {
    const texts = queryTexts(field, query)
    if (texts.length === 0) continue
    if (field.type === 'array') {
      parameters[field.name] = texts.map((text) => fromText(field.name, field.itemType, text))
    } else if (texts.length === 1) {
      parameters[field.name] = fromText(field.name, field.type, texts[0]!)
    } else {
      throw new RefusalError('InvalidRequest', `${field.name} must be given once`)
    }
  }
  return parameters
}

function queryTexts({ name, alias }: RequestField, query: URLSearchParams): string[] {
  const texts = query.getAll(name)
  return texts.length > 0 || alias === undefined ? texts : query.getAll(alias)
}

function fromText(name: string, type: string | undefined, text: string): unknown {
  if (type === 'integer') {
    if (/^-?\d{1,20}$/.test(text)) return Number(text)
    throw new RefusalError('InvalidRequest', `${name} must be an integer`)
  }
  if (type === 'boolean') {
    if (text === 'true' || text === 'false') return text === 'true'
    throw new RefusalError('InvalidRequest', `${name} must be true or false`)
  }
  return usableText(name, text)
}

/** Only own properties count: `__proto__` in a body must not lend fields to it. */
function ownValue(json: JsonObject, key: string): unknown {
  return Object.hasOwn(json, key) ? json[key] : undefined
}

/** The snake_case key counts only when the camelCase one is absent; one that is null is present. */
function topLevelValue(json: JsonObject, { name, alias }: RequestField): unknown {
  return alias === undefined || Object.hasOwn(json, name) ? ownValue(json, name) : ownValue(json, alias)
}

/** Goes no deeper than the lexicon does, however deep the JSON is. */
function keepKnown(field: RequestField, value: unknown): unknown {
  if (field.type === 'array' && Array.isArray(value)) return value.map((item) => keepOne(field, item))
  return keepOne(field, value)
}

function keepOne(field: RequestField, value: unknown): unknown {
  if (typeof value === 'string') return usableText(field.name, value)
  return field.members && isJsonObject(value) ? keepMembers(field.members, value) : value
}

function keepMembers(members: readonly RequestField[], json: JsonObject): JsonObject {
  const kept: JsonObject = {}
  for (const member of members) {
    const value = ownValue(json, member.name)
    if (value !== undefined) kept[member.name] = keepKnown(member, value)
  }
  return kept
}

/** PostgreSQL has no NUL in text, and lone surrogates have no UTF-8: they would be stored as other text. */
function usableText(name: string, text: string): string {
  if (text.includes('\0') || !text.isWellFormed()) throw unusableText(name)
  return text
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
