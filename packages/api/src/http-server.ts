import type { Server } from 'node:http'
import { serve } from '@hono/node-server'
import type { createApp } from './app.ts'
import type { Config } from './config.ts'

/** Longer than the proxies in front keep theirs, so that it is they who close. */
const KEEP_ALIVE_MS = 65_000
const IDLE_CHECK_MS = 25

/** Resolves when connections are taken; rejects when the address cannot be had. */
export function listen(fetch: ReturnType<typeof createApp>['fetch'], config: Config): Promise<Server> {
  const { host, port, requestTimeoutMs } = config.server
  return new Promise((resolve, reject) => {
    const server = serve({ fetch, hostname: host, port }, () => {
      server.off('error', reject)
      resolve(server)
    }) as Server
    server.headersTimeout = requestTimeoutMs
    server.requestTimeout = 2 * requestTimeoutMs
    server.keepAliveTimeout = KEEP_ALIVE_MS
    server.once('error', reject)
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
