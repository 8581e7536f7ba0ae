import { type IncomingMessage, request } from 'node:http'
import { SseParser } from './sse-parser.ts'
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

/**
 * Opens a stream of Server-Sent Events on a connection of its own.
 *
 * @throws StreamRefused when the server answers with another status than 200
 */
export function openSse(options: OpenOptions, listener: Listener): Promise<Transport> {
  const { promise, resolve, reject } = Promise.withResolvers<Transport>()
  const headers = { Accept: 'text/event-stream', ...streamHeaders(options) }
  const outgoing = request(streamUrl('streamConvoEvents', options), { headers, agent: false })
  const tooLate = () => outgoing.destroy(new Error('no answer to the request for a stream in time'))
  const timer = setTimeout(tooLate, options.timeoutMs ?? OPEN_MS)
  outgoing.on('error', reject)
  outgoing.on('response', (response) => {
    const opened = response.statusCode === 200 ? follow(response, listener) : refuse(response)
    opened.then(resolve, reject).finally(() => clearTimeout(timer))
  })
  outgoing.end()
  return promise
}

async function refuse(response: IncomingMessage): Promise<never> {
  throw await refusalOf(response)
}

async function follow(response: IncomingMessage, listener: Listener): Promise<Transport> {
  try {
    checkHeaders(response)
  } catch (error) {
    response.destroy()
    throw error
  }
  return new SseTransport(response, listener)
}

function checkHeaders({ headers }: IncomingMessage): void {
  const type = headers['content-type'] ?? ''
  if (!/^text\/event-stream(; ?charset=utf-8)?$/i.test(type)) throw new Error(`a stream of type ${type}`)
  const isStored = !/(^|, ?)no-store($|,)/.test(headers['cache-control'] ?? '')
  if (isStored) throw new Error('caches may store the stream')
  if (headers['content-encoding'] !== undefined) throw new Error('the stream is compressed')
}

/** Whether the body has no length of its own: whatever closes the connection ends it then, a crash too. */
function endsWithConnection({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] === undefined && headers['content-length'] === undefined
}

class SseTransport implements Transport {
  readonly #response: IncomingMessage
  #end: StreamEnd | undefined

  constructor(response: IncomingMessage, { onEvent, onEnd }: Listener) {
    this.#response = response
    const parser = new SseParser(({ event }) => {
      // The rest of a chunk, after the reader hung up.
      if (this.#end === undefined) onEvent(event)
    })
    response.on('data', (chunk) => this.#try(() => parser.push(chunk)))
    response.on('end', () => {
      if (parser.isInFrame && endsWithConnection(response)) this.#end ??= { reason: 'cut' }
      this.#try(() => parser.end())
      this.#end ??= { reason: 'ended' }
    })
    // Its end tells.
    response.on('error', () => {})
    response.on('close', () => onEnd(this.#end ?? { reason: 'cut' }))
  }

  pause(): void {
    this.#response.pause()
    this.#response.socket.pause()
  }

  resume(): void {
    this.#response.socket.resume()
    this.#response.resume()
  }

  destroy(): void {
    this.#hangUp({ reason: 'closed' })
  }

  #try(read: () => void): void {
    if (this.#end !== undefined) return
    try {
      read()
    } catch (error) {
      this.#hangUp({ reason: 'invalid', problem: (error as Error).message })
    }
  }

  #hangUp(end: StreamEnd): void {
    this.#end ??= end
    this.#response.destroy()
  }
}
