import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

/** How long the peer has to read the answer. */
const LAST_WORDS_MS = 500

export type RawAnswer = { status: number; headers: Record<string, string>; body: string }

/** Answers on a socket for which Node has made no response, and hangs up. */
export function answerRaw(socket: Socket, { status, headers, body }: RawAnswer): void {
  const all = {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    ...headers,
    'Content-Length': Buffer.byteLength(body),
    Connection: 'close',
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  socket.end(`${[`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines].join('\r\n')}\r\n\r\n${body}`)
  // Closed at once, with bytes unread, the answer might be lost on its way.
  setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref()
}

/** The response that has the socket. Node asks the same field in its own handlers; there is no public one. */
export function currentResponse(socket: Socket): { headersSent: boolean } | undefined {
  return (socket as Socket & { _httpMessage?: { headersSent: boolean } | null })._httpMessage ?? undefined
}
