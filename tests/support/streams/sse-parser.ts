import { isUtf8 } from 'node:buffer'

/** What one frame holds; `event` is not checked beyond its cursor. */
export type SseFrame = { cursor: string; event: Record<string, unknown> }

/** A message of 10 MiB in base64, and what is around it. */
const MAX_FRAME_BYTES = 16 * 2 ** 20
const EMPTY_LINE = Buffer.from('\n\n')
const FRAME = /^id: ([\w-]+)\ndata: ([^\r\n]+)\n\n$/

/**
 * Reads Server-Sent Events as this server may send them, and nothing else: UTF-8 in frames of an `id` line, a `data`
 * line with JSON that names the same cursor, and an empty line. Everything that the standard also allows (comments,
 * names, several data lines, CR) makes it throw.
 */
export class SseParser {
  readonly #onFrame: (frame: SseFrame) => void
  /** The beginning of a frame whose end has not come. */
  #pending: Buffer[] = []
  #pendingBytes = 0

  constructor(onFrame: (frame: SseFrame) => void) {
    this.#onFrame = onFrame
  }

  /** Takes the next bytes, cut anywhere. */
  push(chunk: Buffer): void {
    let from = 0
    for (let end = this.#endOfFrame(chunk, 0); end > 0; end = this.#endOfFrame(chunk, from)) {
      const bytes = this.#complete(chunk.subarray(from, end))
      from = end
      this.#onFrame(this.#read(bytes))
    }
    if (from < chunk.length) this.#hold(chunk.subarray(from))
  }

  /** Whether the beginning of a frame is there and its end is not. */
  get isInFrame(): boolean {
    return this.#pendingBytes > 0
  }

  /** Says that nothing more comes. */
  end(): void {
    if (this.isInFrame) throw new Error('the stream ended inside a frame')
  }

  /** Index after the empty line that ends the frame; 0 when it is not in this chunk. */
  #endOfFrame(chunk: Buffer, from: number): number {
    const isSplit = from === 0 && this.#pending.at(-1)?.at(-1) === 0x0a && chunk[0] === 0x0a
    if (isSplit) return 1
    const at = chunk.indexOf(EMPTY_LINE, from)
    return at === -1 ? 0 : at + EMPTY_LINE.length
  }

  #complete(last: Buffer): Buffer {
    if (this.#pendingBytes === 0) return last
    const bytes = Buffer.concat([...this.#pending, last])
    this.#pending = []
    this.#pendingBytes = 0
    return bytes
  }

  #hold(rest: Buffer): void {
    this.#pending.push(rest)
    this.#pendingBytes += rest.length
    if (this.#pendingBytes > MAX_FRAME_BYTES) throw new Error('a frame is longer than any event')
  }

  #read(bytes: Buffer): SseFrame {
    if (!isUtf8(bytes)) throw new Error('what came is no UTF-8')
    const text = bytes.toString()
    const [, cursor, json] = FRAME.exec(text) ?? []
    if (cursor === undefined || json === undefined) {
      throw new Error(`not an id line and a data line: ${JSON.stringify(text.slice(0, 60))}`)
    }
    const event = JSON.parse(json)
    if (typeof event !== 'object' || event === null || Array.isArray(event)) {
      throw new Error('the data of an event must be a JSON object')
    }
    if (event.cursor !== cursor) throw new Error('the id of an event and its cursor differ')
    return { cursor, event }
  }
}
