import { once } from 'node:events'
import { request } from 'node:http'
import type { ErrorBody } from './client.ts'

export type RawAnswer = { status: number; headers: Headers; body: ErrorBody }

export type RawRequest = {
  method?: string
  headers?: Record<string, string | number>
  /** Written before anything is awaited; the request stays open unless `end` is true. */
  body?: string | Uint8Array
  end?: boolean
}

/** An HTTP request by hand: for bodies that are late, cut, too long or no JSON. */
export function openRequest(url: string, { method = 'POST', headers = {}, body, end = true }: RawRequest) {
  const outgoing = request(url, { method, headers, agent: false })
  // A server may refuse and close before everything is written.
  outgoing.on('error', () => {})
  if (body !== undefined) outgoing.write(body)
  if (end) outgoing.end()
  else outgoing.flushHeaders()
  return { outgoing, answer: answerTo(outgoing) }
}

/** The same, for requests that are sent whole. */
export function sendRaw(url: string, options: RawRequest): Promise<RawAnswer> {
  return openRequest(url, options).answer
}

async function answerTo(outgoing: ReturnType<typeof request>): Promise<RawAnswer> {
  const [response] = await once(outgoing, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const headers = new Headers(response.headers as Record<string, string>)
  return { status: response.statusCode, headers, body: JSON.parse(Buffer.concat(chunks).toString()) }
}
