import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { RefusalError } from '@catbird/shared/errors'
import { WebSocketServer } from 'ws'
import { SocketConnection, WEB_SOCKET_OPTIONS } from './events/socket-connection.ts'
import { CORS_HEADERS, securityHeaders } from './middleware/outer-headers.ts'
import { answerRaw, currentResponse } from './raw-answer.ts'
import { errorResponse, toRefusal } from './xrpc/errors.ts'

const PATH = '/xrpc/blue.catbird.mls.subscribeConvoEvents'
/** Nobody has anything to say before the handshake is answered. */
const MAX_EARLY_BYTES = 4096
/** The connections are pinged in turns: all in one go would hold up everything else. */
const PING_GROUPS = 30

type BeginStream = (connection: SocketConnection) => void

export type UpgradeHandlers = {
  /**
   * Decides about a request whose handshake is sound: everything that can be refused is refused here, by rejecting. It
   * keeps its own deadline. What it resolves to is called with the connection, unless the socket closes before; to give
   * back what it took, it listens to that.
   */
  open(request: IncomingMessage, socket: Socket): Promise<BeginStream>
  /** Told of what is no refusal but a fault. */
  onFault(fault: unknown, request: IncomingMessage): void
  /** What a refusal's answer has besides the headers of every answer: the request's id, the state of its limits. */
  moreHeaders?(request: IncomingMessage): Record<string, string>
  publicUrl: string | undefined
}

/** Where requests become WebSockets, and all of these: Node's HTTP server knows nothing of them from then on. */
export class Upgrades {
  readonly #handlers: UpgradeHandlers
  readonly #everyRefusal: Record<string, string>
  readonly #sockets = new Set<Socket>()
  readonly #begin = new WeakMap<IncomingMessage, BeginStream>()
  readonly #webSockets: WebSocketServer
  readonly #pingGroups = Array.from({ length: PING_GROUPS }, () => new Set<SocketConnection>())
  #accepted = 0
  #sweeps = 0

  constructor(handlers: UpgradeHandlers) {
    this.#handlers = handlers
    this.#everyRefusal = { ...CORS_HEADERS, ...securityHeaders(handlers.publicUrl) }
    this.#webSockets = new WebSocketServer({
      ...WEB_SOCKET_OPTIONS,
      noServer: true,
      clientTracking: false,
      // The only place between the check of the handshake, without which no ticket should be used up, and its answer.
      verifyClient: ({ req }, accept) => {
        this.#open(req, () => accept(true)).catch((fault) => {
          handlers.onFault(fault, req)
          req.socket.destroy()
        })
      },
    })
    this.#webSockets.on('wsClientError', ({ message }, _socket, request) => {
      this.#refuse(request, new RefusalError('InvalidRequest', message), { 'Sec-WebSocket-Version': '13' })
    })
  }

  /** Whether the request wants what there is; every other with an Upgrade header is answered like one without. */
  concerns({ method, url = '', headers, httpVersion }: IncomingMessage): boolean {
    const isStream = method === 'GET' && url.split('?', 1)[0] === PATH
    // HTTP/1.0 knows no upgrades (RFC 9110, 7.8).
    return isStream && httpVersion === '1.1' && headers.upgrade?.toLowerCase() === 'websocket'
  }

  /** @param head what came after the request */
  accept(request: IncomingMessage, head: Buffer): void {
    const { socket } = request
    socket.on('error', () => socket.destroy())
    // The answer to an earlier request, still to come, would land among the frames.
    if (currentResponse(socket)) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const connection = new SocketConnection(webSocket, socket)
      this.#takeTurns(connection)
      this.#begin.get(request)?.(connection)
    })
  }

  /** Pings the next of the groups; to be called every second, so that each connection's turn comes every 30 s. */
  pingNext(): void {
    for (const connection of this.#pingGroups[this.#sweeps++ % PING_GROUPS]!) connection.ping()
  }

  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async #open(request: IncomingMessage, accept: () => void): Promise<void> {
    const { socket } = request
    const stopListening = listenWhileOpening(socket)
    try {
      this.#begin.set(request, await this.#handlers.open(request, socket))
    } catch (thrown) {
      this.#refuse(request, thrown)
      return
    }
    stopListening()
    // Of a socket that has closed by now nothing is made.
    accept()
  }

  #refuse(request: IncomingMessage, thrown: unknown, headers: Record<string, string> = {}): void {
    const { onFault, moreHeaders } = this.#handlers
    const response = errorResponse(toRefusal(thrown, (fault) => onFault(fault, request)))
    const all = { ...this.#everyRefusal, ...moreHeaders?.(request), ...headers, ...response.headers }
    if (request.socket.writable) answerRaw(request.socket, { ...response, headers: all })
  }

  #takeTurns(connection: SocketConnection): void {
    const group = this.#pingGroups[this.#accepted++ % PING_GROUPS]!
    group.add(connection)
    connection.onClose(() => group.delete(connection))
  }
}

/** Notices that the peer leaves, which nobody does who does not read. What came is put back in the end. */
function listenWhileOpening(socket: Socket): () => void {
  let early = Buffer.alloc(0)
  const keep = (data: Buffer) => {
    early = Buffer.concat([early, data])
    if (early.length > MAX_EARLY_BYTES) socket.destroy()
  }
  const leave = () => socket.destroy()
  socket.on('data', keep).once('end', leave)
  return () => {
    socket.off('data', keep).off('end', leave)
    if (early.length > 0) socket.unshift(early)
  }
}
