import { decodeBase64 } from '../bytes.ts'
import { type ErrorName, RefusalError } from '../errors.ts'

type ByteField = {
  maxBytes: number
  /** The refusal of bytes that cannot be what the field is for. */
  malformed: ErrorName
  /** Whether the lexicon calls the field a string that holds base64. */
  isText: boolean
}

const MIB = 1024 * 1024

/** The request fields that carry bytes; a name means the same in every method. */
export const BYTE_FIELDS: Readonly<Record<string, ByteField>> = {
  ciphertext: { maxBytes: 10 * MIB, malformed: 'InvalidMessage', isText: false },
  commit: { maxBytes: 10 * MIB, malformed: 'InvalidCommit', isText: false },
  welcomeMessage: { maxBytes: 10 * MIB, malformed: 'InvalidWelcome', isText: true },
  keyPackage: { maxBytes: 64 * 1024, malformed: 'InvalidKeyPackage', isText: true },
}

/** Response fields that the lexicon calls a string and that hold base64. */
export const BASE64_TEXT_OUTPUTS: ReadonlySet<string> = new Set(['keyPackage', 'welcome'])

/**
 * Reads `{"$bytes": base64}` or a plain base64 string.
 * @throws RefusalError MessageTooLarge, the field's own name for bytes that it cannot hold, InvalidRequest
 */
export function decodeByteField(name: string, value: unknown): Uint8Array<ArrayBuffer> {
  const field = BYTE_FIELDS[name]!
  const text = base64Text(value)
  if (text === undefined) throw new RefusalError('InvalidRequest', `${name} must be bytes`)
  // Before decoding, so that an oversized body costs no second copy.
  if (text.length > Math.ceil(field.maxBytes / 3) * 4) throw tooLarge(name, field)
  const bytes = decodeBase64(text)
  if (bytes === null) {
    throw new RefusalError(field.isText ? field.malformed : 'InvalidRequest', `${name} is not valid base64`)
  }
  if (bytes.length > field.maxBytes) throw tooLarge(name, field)
  if (bytes.length === 0) throw new RefusalError(field.malformed, `${name} is empty`)
  return bytes
}

function base64Text(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, '$bytes')) return undefined
  const text = (value as { $bytes: unknown }).$bytes
  return typeof text === 'string' ? text : undefined
}

function tooLarge(name: string, { maxBytes }: ByteField): RefusalError {
  return new RefusalError('MessageTooLarge', `${name} is too large`, { field: name, maxBytes })
}
