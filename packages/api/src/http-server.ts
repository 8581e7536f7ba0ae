import { createServer, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { createApp } from './app.ts'
import type { Config } from './config.ts'

/** Longer than the proxies in front keep theirs, so that it is they who close. */
const KEEP_ALIVE_MS = 65_000
const IDLE_CHECK_MS = 25
/** Tokens take one KiB, cookies of others on the same domain some more. */
const MAX_HEADER_BYTES = 16 * 1024
/** Headers are one packet: who takes longer is not slow but up to something. */
const HEADERS_TIMEOUT_MS = 10_000
/** How often overdue connections are looked for; without a sweep that is finer than them no timeout acts in time. */
const MAX_SWEEP_MS = 1000
/** Beyond the longest wait for an answer, a connection on which nothing moves has nobody at its end. */
const STILLNESS_MS = 10_000
/**
 * Some 30 KB each, streams included. Whoever comes when all are taken is turned away at once, which is better
 * than to run out of the descriptors with which the database is reached.
 */
const MAX_CONNECTIONS = 20_000
/** How long one whose request was broken has to read what was wrong with it. */
const LAST_WORDS_MS = 500

/** Resolves when connections are taken; rejects when the address cannot be had. */
export function listen(fetch: ReturnType<typeof createApp>['fetch'], config: Config): Promise<Server> {
  const { host, port, requestTimeoutMs } = config.server
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: Math.min(requestTimeoutMs, HEADERS_TIMEOUT_MS),
      requestTimeout: 2 * requestTimeoutMs,
      connectionsCheckingInterval: Math.min(Math.ceil(requestTimeoutMs / 4), MAX_SWEEP_MS),
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Node's own answer to a request without a host has no body.
      requireHostHeader: false,
    },
    getRequestListener(fetch, { errorHandler: unusableRequest }),
  )
  server.timeout = requestTimeoutMs + STILLNESS_MS
  server.maxConnections = MAX_CONNECTIONS
  server.on('clientError', refuseBrokenRequest)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}

/** Takes no new connection, lets requests end, and cuts what is left at the deadline. */
export async function closeServer(server: Server, deadlineMs: number): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  // A connection that was busy at the call above is idle when its answer is out.
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS)
  const cut = setTimeout(() => server.closeAllConnections(), Math.max(0, deadlineMs - Date.now()))
  await closed
  clearInterval(idle)
  clearTimeout(cut)
}

/** A request that has no URL: its host or path make none. Faults of the app never come here. */
function unusableRequest(): Response {
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }
  return new Response(errorBody('the host or the path cannot be understood'), { status: 400, headers })
}

function errorBody(message: string): string {
  return JSON.stringify({ error: 'InvalidRequest', message })
}

const BROKEN_REQUESTS: Record<string, readonly [status: string, message: string]> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the headers are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request did not arrive in time'],
}
const MALFORMED = ['400 Bad Request', 'the request is not HTTP'] as const

/** Answers bytes that never became a request, and hangs up. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  // Told already: what it still sends is for nobody.
  if (socket.writableEnded) return
  if (!socket.writable || isAnswering(socket)) {
    socket.destroy()
    return
  }
  const [status, message] = BROKEN_REQUESTS[error.code ?? ''] ?? MALFORMED
  const body = errorBody(message)
  const head = [
    `HTTP/1.1 ${status}`,
    'Content-Type: application/json',
    'Cache-Control: no-store',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  // Closed at once, with bytes unread, the answer might be lost on its way.
  setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref()
}

/** Nothing may be written into another answer. Node asks the same field in its own handler; there is no public one. */
function isAnswering(socket: Socket): boolean {
  return (socket as Socket & { _httpMessage?: ServerResponse })._httpMessage?.headersSent === true
}
