import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { createApp } from './app.ts'
import type { Config } from './config.ts'
import { limitPipelining } from './pipelining.ts'
import { answerRaw, currentResponse } from './raw-answer.ts'
import type { Upgrades } from './upgrades.ts'

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
 * Beside those of streams, some 30 KB each. Whoever comes when all are taken is turned away at once, which is better
 * than to run out of the descriptors with which the database is reached.
 */
const MAX_CONNECTIONS = 10_000

const connectionsOf = new WeakMap<Server, Set<Socket>>()

/** Resolves when connections are taken; rejects when the address cannot be had. */
export function listen(
  fetch: ReturnType<typeof createApp>['fetch'],
  config: Config,
  upgrades: Upgrades,
): Promise<Server> {
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
      shouldUpgradeCallback: (request) => upgrades.concerns(request),
    },
    getRequestListener(fetch, { errorHandler: unusableRequest }),
  )
  server.timeout = requestTimeoutMs + STILLNESS_MS
  server.maxConnections = MAX_CONNECTIONS + config.server.maxStreams
  server.on('clientError', refuseBrokenRequest)
  // Before the answer is begun, which may be a stream.
  server.prependListener('request', limitPipelining)
  server.on('upgrade', (request, _socket, head) => upgrades.accept(request, head))
  const connections = new Set<Socket>()
  connectionsOf.set(server, connections)
  server.on('connection', (socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}

/** Takes no new connection, lets requests end, and cuts what is left at the deadline. */
export async function closeServer(server: Server, deadlineMs: number, upgrades: Upgrades): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  // A connection that was busy at the call above is idle when its answer is out.
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS)
  // Browsers connect in advance; such a connection does not count as idle.
  for (const socket of connectionsOf.get(server) ?? []) if (socket.bytesRead === 0) socket.destroy()
  const cutAll = () => {
    server.closeAllConnections()
    upgrades.destroyAll()
  }
  const cut = setTimeout(cutAll, Math.max(0, deadlineMs - Date.now()))
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

const BROKEN_REQUESTS: Record<string, readonly [status: number, message: string]> = {
  HPE_HEADER_OVERFLOW: [431, 'the headers are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request did not arrive in time'],
}
const MALFORMED = [400, 'the request is not HTTP'] as const

/** Answers bytes that never became a request, and hangs up. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  // Told already: what it still sends is for nobody.
  if (socket.writableEnded) return
  // Nothing may be written into another answer.
  if (!socket.writable || currentResponse(socket)?.headersSent) {
    socket.destroy()
    return
  }
  const [status, message] = BROKEN_REQUESTS[error.code ?? ''] ?? MALFORMED
  answerRaw(socket, { status, headers: {}, body: errorBody(message) })
}
