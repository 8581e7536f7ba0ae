import { encode } from '@atproto/lex-cbor'
import type { FRAME_ERRORS } from '@catbird/shared/lexicon'
import { type StreamEvent, toWire } from './stream-event.ts'

/** How a stream carries events: as Server-Sent Events, or as AT Protocol frames over a WebSocket. */
export type Form = 'sse' | 'cbor'
/** Whether a stream is of one conversation or of all: their cursors differ. */
export type Scope = 'one' | 'all'

/** One event as its readers get it: encoded when the first of them does, and once for all of them. */
export class Frame {
  readonly event: StreamEvent
  readonly #cursorFor: (scope: Scope) => string
  readonly #cursors: Partial<Record<Scope, string>> = {}
  readonly #encoded: Partial<Record<`${Form} ${Scope}`, Buffer>> = {}

  /** @param cursorFor the position after this event, for readers of either scope */
  constructor(event: StreamEvent, cursorFor: (scope: Scope) => string) {
    this.event = event
    this.#cursorFor = cursorFor
  }

  cursor(scope: Scope): string {
    this.#cursors[scope] ??= this.#cursorFor(scope)
    return this.#cursors[scope]
  }

  bytes(form: Form, scope: Scope): Buffer {
    this.#encoded[`${form} ${scope}`] ??= ENCODERS[form](this.event, this.cursor(scope))
    return this.#encoded[`${form} ${scope}`]!
  }
}

const ENCODERS: Record<Form, (event: StreamEvent, cursor: string) => Buffer> = { sse: toSse, cbor: toCbor }

function toSse(event: StreamEvent, cursor: string): Buffer {
  return Buffer.from(`id: ${cursor}\ndata: ${JSON.stringify(toWire(event, cursor))}\n\n`)
}

/** The header says the kind of event; the payload is the event without it (AT Protocol, Event Stream). */
function toCbor(event: StreamEvent, cursor: string): Buffer {
  const { type, ...payload } = event
  return Buffer.concat([encode({ op: 1, t: `#${type}` }), encode({ cursor, ...payload } as never)])
}

/** The frame that tells a WebSocket's reader by name why its stream ends. */
export function errorFrame(error: (typeof FRAME_ERRORS)[number], message: string): Buffer {
  return Buffer.concat([encode({ op: -1 }), encode({ error, message })])
}
