import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to a TCP server that can be cut and restored. */
export class TcpProxy {
  readonly #sockets = new Set<Socket>()
  readonly #server
  #isCut = false

  private constructor(target: URL) {
    this.#server = createServer((near) => {
      if (this.#isCut) return near.destroy()
      const far = connect(Number(target.port || 5432), target.hostname)
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(one)
        one
          .on('error', () => {})
          .on('close', () => {
            this.#sockets.delete(one)
            other.destroy()
          })
        one.pipe(other)
      }
    })
  }

  static async to(url: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(new URL(url))
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** The URL with this proxy in the place of its host. */
  through(url: string): string {
    const changed = new URL(url)
    changed.hostname = '127.0.0.1'
    changed.port = String((this.#server.address() as AddressInfo).port)
    return changed.href
  }

  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  restore(): void {
    this.#isCut = false
  }

  stop(): void {
    this.cut()
    this.#server.close()
  }
}
