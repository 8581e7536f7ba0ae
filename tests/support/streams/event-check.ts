import { lexicons } from '@catbird/shared/lexicon/documents'
import type { MessageView, WireBytes } from '@catbird/shared/lexicon/types'

/** An event in the form that it has in JSON, whichever way it came. */
export type StreamEvent =
  | { type: 'messageEvent'; cursor: string; message: MessageView }
  | {
      type: 'membershipEvent'
      cursor: string
      convoId: string
      did: string
      action: 'joined' | 'left' | 'removed'
      seq: number
    }
  | { type: 'welcomeEvent'; cursor: string; convoId: string }
  | {
      type: 'ephemeralEvent'
      cursor: string
      convoId: string
      sender: string
      ciphertext: WireBytes
      epoch: number
    }
  | { type: 'infoEvent'; cursor: string; info: string; convoId?: string }

/** As much of a lexicon's definition as is looked at here. */
type Definition = {
  type: string
  ref?: string
  properties?: Record<string, Definition>
  format?: string
  knownValues?: string[]
}

const LEXICON = 'lex:blue.catbird.mls.streamConvoEvents'

/** What is sent; the other definitions are there for clients that know them. */
const SENT = new Set(['messageEvent', 'membershipEvent', 'welcomeEvent', 'ephemeralEvent', 'infoEvent'])

/**
 * Holds an event against its definition and the conventions of the contract: no undeclared field, only known values,
 * bytes as base64 in the standard alphabet with padding, UTC times with milliseconds, a cursor that fits into a URL.
 * Fields that the lexicon leaves optional and this server always sends must be there.
 *
 * @throws Error with the reason
 */
export function checkEvent(value: unknown): StreamEvent {
  if (!isObject(value)) throw new Error('an event must be an object')
  const { type, ...fields } = value
  if (typeof type !== 'string' || !SENT.has(type)) throw new Error(`no such event: ${String(type)}`)
  const uri = `${LEXICON}#${type}`
  const result = lexicons.validate(uri, fromWire({ type: 'ref', ref: uri }, fields, type))
  if (!result.success) throw new Error(`${type}: ${result.error.message}`)
  const event = value as StreamEvent
  if (!/^[\w-]+$/.test(event.cursor)) throw new Error(`${type}/cursor has other characters than A-Za-z0-9_-`)
  checkPromises(event)
  return event
}

function checkPromises(event: StreamEvent): void {
  if (event.type === 'messageEvent') {
    if (event.message.messageType === undefined) throw new Error('messageEvent lacks messageType')
    if (!/^[0-9a-f]{64}$/.test(event.message.logHash ?? '')) {
      throw new Error('messageEvent/message/logHash must be SHA-256 in lower-case hex')
    }
  }
  if (event.type === 'membershipEvent' && event.seq === undefined) {
    throw new Error('membershipEvent lacks seq')
  }
  if (event.type === 'infoEvent' && (event.info === 'membershipEnded') !== (event.convoId !== undefined)) {
    throw new Error('infoEvent/convoId belongs to membershipEnded, and to nothing else')
  }
}

/** The value as the lexicon library wants it, which checks the rest. */
function fromWire(property: Definition, value: unknown, path: string): unknown {
  const def =
    property.type === 'ref' ? (lexicons.getDefOrThrow(property.ref!) as unknown as Definition) : property
  if (def.type === 'bytes') return bytesFromWire(value, path)
  if (def.type === 'object' && isObject(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => {
        const inner = def.properties?.[name]
        if (inner === undefined) throw new Error(`${path}/${name} is not in the lexicon`)
        return [name, fromWire(inner, member, `${path}/${name}`)]
      }),
    )
  }
  if (typeof value === 'string') checkString(def, value, path)
  return value
}

function checkString({ format, knownValues }: Definition, value: string, path: string): void {
  if (knownValues !== undefined && !knownValues.includes(value)) {
    throw new Error(`${path} has a value that the lexicon does not name`)
  }
  if (format === 'datetime' && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value)) {
    throw new Error(`${path} must be a UTC time with milliseconds`)
  }
}

function bytesFromWire(value: unknown, path: string): Uint8Array {
  if (!isObject(value) || typeof value.$bytes !== 'string' || Object.keys(value).length !== 1) {
    throw new Error(`${path} must be {"$bytes": base64}`)
  }
  const bytes = Buffer.from(value.$bytes, 'base64')
  if (bytes.toString('base64') !== value.$bytes) {
    throw new Error(`${path} must be base64 in the standard alphabet with padding`)
  }
  return bytes
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
