import { type RawData, WebSocket } from 'ws'
import { decodeFrame } from './frame-decoder.ts'
import {
  type Listener,
  OPEN_MS,
  type OpenOptions,
  refusalOf,
  type StreamEnd,
  streamHeaders,
  streamUrl,
  type Transport,
} from './transport.ts'

/** A message of 10 MiB, and what is around it. */
const MAX_MESSAGE_BYTES = 11 * 2 ** 20
/** The code of a connection that ended without a closing handshake (RFC 6455 section 7.1.5). */
const NO_HANDSHAKE = 1006

/**
 * Opens a stream over a WebSocket. It offers compression, which the server must not take.
 *
 * @throws StreamRefused when the handshake is refused
 */
export function openSocket(options: OpenOptions, listener: Listener): Promise<Transport> {
  const { promise, resolve, reject } = Promise.withResolvers<Transport>()
  const url = streamUrl('subscribeConvoEvents', options)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const timeoutMs = options.timeoutMs ?? OPEN_MS
  const socket = new WebSocket(url, {
    headers: streamHeaders(options),
    perMessageDeflate: true,
    maxPayload: MAX_MESSAGE_BYTES,
    handshakeTimeout: timeoutMs,
  })
  socket.on('error', reject)
  socket.on('unexpected-response', (outgoing, response) => {
    const timer = setTimeout(() => outgoing.destroy(new Error('a refusal without an end')), timeoutMs)
    refusalOf(response)
      .then(reject, reject)
      .finally(() => {
        clearTimeout(timer)
        outgoing.destroy()
      })
  })
  socket.once('open', () => {
    if (socket.extensions === '') return resolve(new SocketTransport(socket, listener))
    socket.terminate()
    reject(new Error(`the server took the extension ${socket.extensions}`))
  })
  return promise
}

class SocketTransport implements Transport {
  readonly #socket: WebSocket
  readonly #listener: Listener
  #end: StreamEnd | undefined
  #error: StreamEnd['error']

  constructor(socket: WebSocket, listener: Listener) {
    this.#socket = socket
    this.#listener = listener
    socket.on('message', (data, isBinary) => this.#take(data, isBinary))
    socket.on('ping', () => listener.onPing())
    socket.on('error', (error) => this.#hangUp({ reason: 'invalid', problem: error.message }))
    socket.on('close', (code) => {
      const reason = code === NO_HANDSHAKE ? 'cut' : 'ended'
      listener.onEnd({ ...(this.#end ?? { reason }), code, error: this.#error })
    })
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  destroy(): void {
    this.#hangUp({ reason: 'closed' })
  }

  #take(data: RawData, isBinary: boolean): void {
    if (this.#end !== undefined) return
    try {
      if (!isBinary) throw new Error('a text message')
      if (this.#error !== undefined) throw new Error('a message after the error frame')
      const frame = decodeFrame(data as Buffer)
      if ('error' in frame) this.#error = frame.error
      else this.#listener.onEvent(frame.event)
    } catch (error) {
      this.#hangUp({ reason: 'invalid', problem: (error as Error).message })
    }
  }

  #hangUp(end: StreamEnd): void {
    this.#end ??= end
    this.#socket.terminate()
  }
}
