import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Requests of one connection that wait behind another. */
const MAX_WAITING = 32

const waiting = new WeakMap<Socket, number>()
const taken = new WeakSet<Socket>()

/** Counts the requests that a client sends without waiting for answers, and cuts off who sends too many. */
export function limitPipelining({ socket }: IncomingMessage, response: ServerResponse): void {
  // Its answer would be kept as long as the stream before it goes on.
  if (taken.has(socket)) {
    socket.destroy()
    return
  }
  // Only the response whose turn it is has the socket.
  if (response.socket) return
  const count = (waiting.get(socket) ?? 0) + 1
  waiting.set(socket, count)
  if (count > MAX_WAITING) socket.destroy()
  response.once('close', () => waiting.set(socket, waiting.get(socket)! - 1))
}

/** Takes a connection for a stream, which has no end; false when other requests wait on it already. */
export function takeConnection(socket: Socket): boolean {
  taken.add(socket)
  return (waiting.get(socket) ?? 0) === 0
}
