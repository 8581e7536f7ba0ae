import { Pool } from 'undici'

/** What came back: the fields of the answer, or why there is none. */
export type Answer =
  | { status: number; body: Record<string, unknown> }
  /** `name`: ConnectionRefused, ConnectionLost, Timeout, or Http and the status when the body is not the server's. */
  | { status: undefined; name: string }

/** Longer than the server takes for a request, by default. */
const ANSWER_MS = 15_000
const PREFIX = '/xrpc/blue.catbird.mls.'

/** Calls the methods of one server over as many connections as it is allowed. */
export class LoadClient {
  readonly url: string
  readonly #pool: Pool

  constructor(url: string, connections: number) {
    this.url = url
    this.#pool = new Pool(url, {
      connections,
      pipelining: 1,
      headersTimeout: ANSWER_MS,
      bodyTimeout: ANSWER_MS,
      connect: { timeout: ANSWER_MS },
    })
  }

  /** @param body JSON */
  post(method: string, authorization: string, body: string): Promise<Answer> {
    const headers = { authorization, 'content-type': 'application/json' }
    return this.#ask(() => this.#pool.request({ path: PREFIX + method, method: 'POST', headers, body }))
  }

  get(method: string, authorization: string, query = ''): Promise<Answer> {
    const path = `${PREFIX}${method}${query && `?${query}`}`
    return this.#ask(() => this.#pool.request({ path, method: 'GET', headers: { authorization } }))
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }

  async #ask(send: () => ReturnType<Pool['request']>): Promise<Answer> {
    let text: string
    let status: number
    try {
      const response = await send()
      status = response.statusCode
      text = await response.body.text()
    } catch (error) {
      return { status: undefined, name: nameOf(error) }
    }
    const body = parse(text)
    return body ? { status, body } : { status: undefined, name: `Http${status}` }
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What is no matter of the connection is a fault of the generator. */
function nameOf(error: unknown): string {
  const code = String((error as { code?: unknown }).code)
  if (code === 'ECONNREFUSED') return 'ConnectionRefused'
  if (/TIMEOUT|ETIMEDOUT/.test(code)) return 'Timeout'
  if (/^(ECONN|EPIPE|ENOTFOUND|EAI_|EHOST|ENET|UND_ERR_(SOCKET|CLOSED|DESTROYED|ABORTED))|^HPE_/.test(code)) {
    return 'ConnectionLost'
  }
  throw error
}
