import type { ServerResponse } from 'node:http'
import { takeConnection } from '../pipelining.ts'
import type { Connection } from './connection.ts'
import { Outbox } from './outbox.ts'

/**
 * A stream of Server-Sent Events. Once begun it writes past the response, to its socket, and the body ends with the
 * connection (measured with 1 000 readers, CPU per event of 900 bytes: 6.9 µs; by way of the response 8.3 µs, and
 * 9.5 µs in chunks).
 */
export class SseConnection implements Connection {
  readonly form = 'sse'
  readonly #response: ServerResponse
  readonly #outbox: Outbox

  constructor(response: ServerResponse) {
    const { socket } = response.req
    this.#response = response
    this.#outbox = new Outbox(socket, (piece) => socket.write(piece))
  }

  /**
   * Sends the head of the answer at once. It has to come before everything else.
   *
   * @param headers besides those that make it a stream
   */
  begin(headers: Record<string, string>): void {
    const response = this.#response
    const { socket } = response.req
    // Without a socket of its own it waits behind the answer to an earlier request, which events would overtake.
    if (!response.socket || !takeConnection(socket)) socket.destroy()
    // Silence is the hub's to judge, which sends heartbeats.
    socket.setTimeout(0)
    socket.setNoDelay(true)
    // Bytes of a body nobody asked for would hide that the peer has left.
    response.req.resume()
    response.removeHeader('Transfer-Encoding')
    response.writeHead(200, {
      ...headers,
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
      Connection: 'close',
    })
    response.flushHeaders()
  }

  get backlog(): number {
    return this.#outbox.backlog
  }

  get waiting(): number {
    return this.#outbox.waiting
  }

  send(frames: readonly Buffer[]): void {
    this.#outbox.send(frames)
  }

  whenDrained(then: () => void): void {
    this.#outbox.whenDrained(then)
  }

  end(last?: Buffer): void {
    this.#outbox.end(last, () => this.#response.req.socket.end())
  }

  onClose(then: () => void): void {
    this.#outbox.onClose(then)
  }
}
