import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

export type LoopbackServer = {
  port: number
  /** For those who must know the port before they have something to serve with. */
  serve(listener: RequestListener): void
  stop(): Promise<void>
}

/** An HTTP server that only this machine reaches, on a port that the system chooses and nobody can take before. */
export async function listenOnLoopback(listener?: RequestListener): Promise<LoopbackServer> {
  const server = createServer()
  if (listener) server.on('request', listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    serve: (later) => void server.on('request', later),
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
