import type { Socket } from 'node:net'
import { encode } from '@atproto/lex-cbor'
import type { WebSocket } from 'ws'
import type { Connection } from './connection.ts'
import { LAST_READING_MS, Outbox } from './outbox.ts'

/** What the `WebSocketServer` must be told for these connections. */
export const WEB_SOCKET_OPTIONS = {
  // It would cost each reader's own compression, of bytes that are encrypted.
  perMessageDeflate: false,
  /** What the peer sends is read only to be ignored. */
  maxPayload: 1024,
  maxFragments: 16,
  /** For the closing handshake, whoever began it. */
  closeTimeout: LAST_READING_MS,
}

const GOING_AWAY = 1001
const POLICY_VIOLATION = 1008
/** How a frame begins that names an error. */
const ERROR_HEADER = encode({ op: -1 })

/** A stream over a WebSocket: one binary message for each frame. */
export class SocketConnection implements Connection {
  readonly form = 'cbor'
  readonly #webSocket: WebSocket
  readonly #outbox: Outbox
  #hasAnswered = true

  /** @param socket the one below the WebSocket */
  constructor(webSocket: WebSocket, socket: Socket) {
    this.#webSocket = webSocket
    // Pieces of a large frame are fragments of one message.
    this.#outbox = new Outbox(socket, (piece, isLast) => webSocket.send(piece, { binary: true, fin: isLast }))
    webSocket.on('pong', () => {
      this.#hasAnswered = true
    })
    // It closes by itself then, and tells the peer why.
    webSocket.on('error', () => {})
  }

  get backlog(): number {
    return this.#outbox.backlog
  }

  get waiting(): number {
    return this.#outbox.waiting
  }

  send(frames: readonly Buffer[]): void {
    if (this.#isOpen) this.#outbox.send(frames)
  }

  whenDrained(then: () => void): void {
    this.#outbox.whenDrained(then)
  }

  end(last?: Buffer): void {
    if (!this.#isOpen) return
    const code = last && isError(last) ? POLICY_VIOLATION : GOING_AWAY
    this.#outbox.end(last, () => this.#webSocket.close(code))
  }

  onClose(then: () => void): void {
    this.#outbox.onClose(then)
  }

  /**
   * Asks for a sign of life; ends the connection when none has come since the last time. While something waits, no answer
   * could come in time, and the hub looks after those who do not read.
   */
  ping(): void {
    if (this.backlog > 0) return
    if (!this.#hasAnswered) this.#webSocket.terminate()
    this.#hasAnswered = false
    if (this.#isOpen) this.#webSocket.ping()
  }

  get #isOpen(): boolean {
    return this.#outbox.isOpen && this.#webSocket.readyState === this.#webSocket.OPEN
  }
}

function isError(frame: Buffer): boolean {
  return frame.subarray(0, ERROR_HEADER.length).equals(ERROR_HEADER)
}
