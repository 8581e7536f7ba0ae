import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { encode } from 'cborg'
import { type WebSocket, WebSocketServer } from 'ws'
import type { StreamEvent } from './event-check.ts'

/** The server's side of one stream, whichever way it goes. */
export type Sending = {
  request: IncomingMessage
  send(event: StreamEvent): void
  sendRaw(bytes: string | Buffer): void
  /** Bytes that the reader did not take. */
  backlog(): number
  end(): void
  cut(): void
  ping(): void
}
type Serve = (sending: Sending) => void

export const STREAM_HEADERS = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' }
export const REFUSAL = { error: 'ConvoNotFound', message: 'no such conversation' }

const running: Server[] = []

export function stopStreamServers(): void {
  for (const server of running.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
}

/** A server that gives every stream to `serve`, over whichever transport it is asked for. */
export async function serveStreams(serve: Serve, perMessageDeflate = false): Promise<string> {
  const server = createServer((request, response) => {
    response.writeHead(200, STREAM_HEADERS).flushHeaders()
    serve({
      request,
      send: (event) => response.write(`id: ${event.cursor}\ndata: ${JSON.stringify(event)}\n\n`),
      sendRaw: (bytes) => response.write(bytes),
      backlog: () => response.writableLength,
      end: () => response.end(),
      cut: () => request.socket.resetAndDestroy(),
      ping: () => {},
    })
  })
  const sockets = new WebSocketServer({ server, perMessageDeflate })
  sockets.on('connection', (socket, request) => serve(overSocket(request, socket)))
  return listen(server)
}

function overSocket(request: IncomingMessage, socket: WebSocket): Sending {
  return {
    request,
    send: ({ type, ...payload }) =>
      socket.send(Buffer.concat([encode({ op: 1, t: `#${type}` }), encode(payload)])),
    sendRaw: (bytes) => socket.send(bytes),
    backlog: () => socket.bufferedAmount,
    end: () => socket.close(1000),
    cut: () => socket.terminate(),
    ping: () => socket.ping(),
  }
}

/** A server that answers every request, and every handshake, with a refusal. */
export async function refuseStreams(): Promise<string> {
  const text = JSON.stringify(REFUSAL)
  const server = createServer((_request, response) => {
    response.writeHead(404, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
    response.end(text)
  })
  server.on('upgrade', (_request, socket) => {
    socket.end(`HTTP/1.1 404 Not Found\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
  })
  return listen(server)
}

export function serveHttp(answer: RequestListener): Promise<string> {
  return listen(createServer(answer))
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  running.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
