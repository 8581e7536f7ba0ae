import { connect, type Socket } from 'node:net'
import type { Form } from '@catbird/api/events/frame'

const OPEN_MS = 20_000
const REPLY_MS = 10_000
/** All sockets read into it: what is in it is looked at before the next one reads. */
const SHARED = Buffer.allocUnsafe(64 * 1024)
const HANDSHAKE = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==',
]
const PATHS: Record<Form, string> = { sse: 'streamConvoEvents', cbor: 'subscribeConvoEvents' }

export type ReaderOptions = {
  url: string
  token: string
  form: Form
  /** Told how many messages have just come. */
  onMessages?: (count: number) => void
}

/**
 * A reader that counts the messages of its stream and does nothing else with them: the load generator must not be what
 * is measured.
 */
export class CountingReader {
  messages = 0
  /** The server hung up. */
  isLost = false
  readonly #socket: Socket
  readonly #onMessages: (count: number) => void
  readonly #count: (chunk: Buffer) => number

  private constructor(socket: Socket, { form, onMessages = () => {} }: ReaderOptions) {
    this.#socket = socket
    this.#onMessages = onMessages
    this.#count = form === 'sse' ? countSse() : countFrames()
  }

  /** Resolves when the stream is live. */
  static open(options: ReaderOptions): Promise<CountingReader> {
    const { promise, resolve, reject } = Promise.withResolvers<CountingReader>()
    const { hostname, port } = new URL(options.url)
    let head: string | undefined = ''
    const take = (chunk: Buffer) => {
      if (head === undefined) return reader.#take(chunk)
      head += chunk.toString('latin1')
      const bodyAt = head.indexOf('\r\n\r\n') + 4
      if (bodyAt < 4) return
      if (!/^HTTP\/1\.1 (200|101) /.test(head)) socket.destroy()
      if (!head.includes('caughtUp')) return
      resolve(reader)
      reader.#take(Buffer.from(head.slice(bodyAt), 'latin1'))
      head = undefined
    }
    const callback = (bytes: number) => {
      take(SHARED.subarray(0, bytes))
      return true
    }
    const socket = connect({ host: hostname, port: Number(port), onread: { buffer: SHARED, callback } })
    const reader = new CountingReader(socket, options)
    const timer = setTimeout(() => socket.destroy(), OPEN_MS)
    socket.on('error', () => {})
    socket.once('close', () => {
      reader.isLost = true
      reject(new Error(`a stream was not opened: ${head}`))
    })
    socket.write(requestFor(options))
    return promise.finally(() => clearTimeout(timer))
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    const count = this.#count(chunk)
    if (count === 0) return
    this.messages += count
    this.#onMessages(count)
  }
}

function requestFor({ form, token }: ReaderOptions): string {
  const lines = [
    `GET /xrpc/blue.catbird.mls.${PATHS[form]} HTTP/1.1`,
    'Host: bench',
    `Authorization: Bearer ${token}`,
    ...(form === 'cbor' ? HANDSHAKE : []),
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

const END_OF_MESSAGE = Buffer.from('}}\n\n')
const END_WORD = END_OF_MESSAGE.readUInt32BE(0)

/** Counts the ends of message events, which no other event has, wherever the chunks are cut. */
function countSse(): (chunk: Buffer) => number {
  /** The last four bytes. */
  let word = 0
  return (chunk) => {
    let count = 0
    for (let i = 0; i < Math.min(3, chunk.length); i++) {
      word = ((word << 8) | chunk[i]!) >>> 0
      if (word === END_WORD) count++
    }
    for (let at = chunk.indexOf(END_OF_MESSAGE); at >= 0; at = chunk.indexOf(END_OF_MESSAGE, at + 4)) count++
    if (chunk.length > 3) word = chunk.readUInt32BE(chunk.length - 4)
    return count
  }
}

/** Above what an event about the stream itself takes, below what any message here does. */
const LEAST_MESSAGE_BYTES = 500
const MAX_HEADER_BYTES = 10

/** Counts WebSocket messages (RFC 6455, section 5.2), which may come in several frames; a server does not mask them. */
function countFrames(): (chunk: Buffer) => number {
  let start = Buffer.alloc(0)
  let payloadLeft = 0
  let messageBytes = 0
  return (chunk) => {
    let count = 0
    let at = 0
    while (at < chunk.length) {
      if (payloadLeft > 0) {
        const taken = Math.min(payloadLeft, chunk.length - at)
        payloadLeft -= taken
        at += taken
        continue
      }
      const known = start.length
      start = Buffer.concat([start, chunk.subarray(at, at + MAX_HEADER_BYTES - known)])
      const frame = readHeader(start)
      if (!frame) break
      start = Buffer.alloc(0)
      at += frame.headerBytes - known
      payloadLeft = frame.payloadBytes
      if (frame.isControl) continue
      messageBytes += payloadLeft
      if (!frame.isLast) continue
      if (messageBytes >= LEAST_MESSAGE_BYTES) count++
      messageBytes = 0
    }
    return count
  }
}

/** Undefined when it is not complete. */
function readHeader(start: Buffer) {
  if (start.length < 2) return undefined
  const length = start[1]! & 127
  const headerBytes = length < 126 ? 2 : length === 126 ? 4 : MAX_HEADER_BYTES
  if (start.length < headerBytes) return undefined
  const longer = () => (length === 126 ? start.readUInt16BE(2) : Number(start.readBigUInt64BE(2)))
  const payloadBytes = length < 126 ? length : longer()
  return { headerBytes, payloadBytes, isLast: start[0]! >= 128, isControl: (start[0]! & 8) !== 0 }
}

/** What was acknowledged: its place in the conversation, and when the acknowledgement was here. */
export type Acknowledged = { seq: number; atMs: number }

/** A connection over which messages are sent, one after the other. */
export class Sender {
  readonly #socket: Socket
  #last: Promise<unknown> = Promise.resolve()
  #reply = ''
  #settle: { resolve(acknowledged: Acknowledged): void; reject(error: Error): void } | undefined

  constructor(url: string) {
    const { hostname, port } = new URL(url)
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true })
    this.#socket.on('data', (chunk) => this.#take(chunk.toString('latin1')))
    this.#socket.setTimeout(REPLY_MS, () => this.#socket.destroy())
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => this.#settle?.reject(new Error('a message was not answered')))
  }

  send(token: string, body: string): Promise<Acknowledged> {
    const exchange = this.#last.then(() => this.#exchange(token, body))
    this.#last = exchange.catch(() => {})
    return exchange
  }

  close(): void {
    this.#socket.destroy()
  }

  #exchange(token: string, body: string): Promise<Acknowledged> {
    const { promise, resolve, reject } = Promise.withResolvers<Acknowledged>()
    this.#settle = { resolve, reject }
    this.#socket.write(
      `POST /xrpc/blue.catbird.mls.sendMessage HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n` +
        `Authorization: Bearer ${token}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
    return promise
  }

  #take(text: string): void {
    const atMs = performance.now()
    this.#reply += text
    const [head = '', body] = this.#reply.split('\r\n\r\n')
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1])
    if (body === undefined || !(body.length >= length)) return
    const seq = Number(/"seq":(\d+)/.exec(body)?.[1])
    if (head.startsWith('HTTP/1.1 200 ') && seq > 0) this.#settle?.resolve({ seq, atMs })
    else this.#settle?.reject(new Error(`sendMessage answered ${this.#reply}`))
    this.#reply = ''
  }
}
