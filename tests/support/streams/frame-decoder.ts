import { type CborMap, type CborValue, DagCborReader } from './dag-cbor.ts'

/** Why the server ends the stream, by name. */
export type FrameError = { error: string; message?: string }
/** What one message of the socket holds; an event has the form of JSON and is not checked further. */
export type SocketFrame = { event: Record<string, unknown> } | { error: FrameError }

/**
 * Decodes one message of an AT Protocol event stream: exactly a header and a payload, both maps, in strict DAG-CBOR.
 *
 * @throws Error with the reason
 */
export function decodeFrame(bytes: Uint8Array): SocketFrame {
  const reader = new DagCborReader(bytes)
  const header = mapOf(reader.read(), 'the header')
  const payload = mapOf(reader.read(), 'the payload')
  if (!reader.isAtEnd) throw new Error('bytes after the payload')
  if (header.op === -1) {
    if (Object.keys(header).length !== 1) throw new Error('the header of an error has more than op')
    return { error: errorOf(payload) }
  }
  return { event: { type: typeOf(header), ...eventOf(payload) } }
}

/** The header is {op: 1, t: '#type'}. */
function typeOf(header: CborMap): string {
  const { op, t, ...rest } = header
  if (op !== 1 || Object.keys(rest).length > 0) throw new Error('the header must hold op 1 and t alone')
  if (typeof t !== 'string' || !/^#\w+$/.test(t)) throw new Error('t must be # and a name')
  return t.slice(1)
}

function eventOf(payload: CborMap): Record<string, unknown> {
  if ('type' in payload || '$type' in payload) throw new Error('the type belongs into the header alone')
  return toJson(payload) as Record<string, unknown>
}

function errorOf({ error, message, ...rest }: CborMap): FrameError {
  const isRight = typeof error === 'string' && (message === undefined || typeof message === 'string')
  if (!isRight || Object.keys(rest).length > 0)
    throw new Error('an error must hold a name and a message alone')
  return message === undefined ? { error } : { error, message }
}

function toJson(value: CborValue): unknown {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, toJson(member)]))
}

function mapOf(value: CborValue, what: string): CborMap {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isMap || value instanceof Uint8Array) throw new Error(`${what} must be a map`)
  return value
}
