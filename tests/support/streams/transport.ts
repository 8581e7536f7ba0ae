import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { ErrorBody } from '../client.ts'

/** How a stream is asked for. A token goes into the Authorization header, a ticket into the URL. */
export type OpenOptions = {
  /** The server's, without path. */
  url: string
  token?: string
  ticket?: string
  cursor?: string
  convoId?: string
  /** As a browser's EventSource sends it; for Server-Sent Events alone. */
  lastEventId?: string
  /** For the answer to the request. */
  timeoutMs?: number
}

/**
 * How a stream ended. `closed`: by the reader; `ended`: by the server, as it should; `cut`: the connection broke;
 * `invalid`: the reader hung up, because the server sent what it may not, which `problem` tells.
 * Of Server-Sent Events whose body ends with the connection, a crash between two events looks like `ended`.
 */
export type StreamEnd = {
  reason: 'closed' | 'ended' | 'cut' | 'invalid'
  problem?: string
  /** Of the closed socket. */
  code?: number
  /** From the error frame of a socket. */
  error?: { error: string; message?: string }
}

/** Who is told. Throwing from `onEvent` makes the stream invalid. */
export type Listener = {
  onEvent(event: Record<string, unknown>): void
  onPing(): void
  /** Once, and last. */
  onEnd(end: StreamEnd): void
}

/** A connection that is open. Paused, it takes no bytes off its socket: a reader that hangs. */
export type Transport = { pause(): void; resume(): void; destroy(): void }

export const OPEN_MS = 10_000

/** A stream that was refused, with the answer as `expectError` takes it. */
export class StreamRefused extends Error {
  readonly status: number
  readonly headers: Headers
  readonly body: ErrorBody

  constructor(status: number, headers: IncomingHttpHeaders, body: ErrorBody) {
    super(`the stream was refused: ${status} ${body.error}`)
    this.status = status
    this.headers = new Headers(headers as Record<string, string>)
    this.body = body
  }
}

export async function refusalOf(response: IncomingMessage): Promise<StreamRefused> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const body = JSON.parse(Buffer.concat(chunks).toString())
  return new StreamRefused(response.statusCode ?? 0, response.headers, body)
}

export function streamUrl(name: string, { url, ticket, cursor, convoId }: OpenOptions): URL {
  const target = new URL(`/xrpc/blue.catbird.mls.${name}`, url)
  for (const [key, value] of Object.entries({ ticket, cursor, convoId })) {
    if (value !== undefined) target.searchParams.set(key, value)
  }
  return target
}

export function streamHeaders({ token, lastEventId }: OpenOptions): Record<string, string> {
  return {
    ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    ...(lastEventId !== undefined && { 'Last-Event-ID': lastEventId }),
  }
}
