import type { OpsConsole } from '@catbird/api/ops/console'
import type { FoundConvo } from '@catbird/api/ops/find-convo'

/** Of test servers only. */
export const OPS_TOKEN = 'token of the console of test servers'

/** JSON turns times into text. */
type Wire<T> = T extends Date ? string : T extends object ? { [K in keyof T]: Wire<T[K]> } : T

type Overview = ReturnType<OpsConsole['overview']>
type Answer = { status: number; headers: Headers; body: { error?: string; outcome?: string } }

/** Calls the API of the console with the headers that it is given. */
export class ConsoleClient {
  readonly #url: string
  readonly #headers: Record<string, string>

  constructor(url: string, headers: Record<string, string> = { Authorization: `Bearer ${OPS_TOKEN}` }) {
    this.#url = url
    this.#headers = headers
  }

  /** As the console's page does, with the cookie that it gets for the token. */
  static async loggedIn(url: string): Promise<ConsoleClient> {
    return new ConsoleClient(url, { Cookie: await logIn(url), 'X-Catbird-Console': '1' })
  }

  /** The same with other headers; an empty one is left out. */
  with(headers: Record<string, string>): ConsoleClient {
    const all = Object.entries({ ...this.#headers, ...headers }).filter(([, value]) => value !== '')
    return new ConsoleClient(this.#url, Object.fromEntries(all))
  }

  async call(method: 'GET' | 'POST' | 'DELETE', path: string): Promise<Answer> {
    const response = await fetch(`${this.#url}/ops/api/${path}`, { method, headers: this.#headers })
    const text = await response.text()
    const body = text === '' ? {} : (JSON.parse(text) as Answer['body'])
    return { status: response.status, headers: response.headers, body }
  }

  overview(after = 0): Promise<Wire<Overview>> {
    return this.#ok('GET', `overview?after=${after}`)
  }

  settings(): Promise<Wire<ReturnType<OpsConsole['settings']>>> {
    return this.#ok('GET', 'settings')
  }

  convo(convoId: string): Promise<Wire<FoundConvo>> {
    return this.#ok('GET', `convo?convoId=${encodeURIComponent(convoId)}`)
  }

  async passivate(convoId: string): Promise<string> {
    return (await this.#ok<{ outcome: string }>('POST', `passivate?convoId=${convoId}`)).outcome
  }

  async #ok<T>(method: 'GET' | 'POST', path: string): Promise<T> {
    const { status, body } = await this.call(method, path)
    if (status !== 200) throw new Error(`${path} answered ${status} ${JSON.stringify(body)}`)
    return body as T
  }
}

/** The cookie that the console gives for its token, as a browser sends it back. */
export async function logIn(url: string): Promise<string> {
  const { status, headers } = await new ConsoleClient(url).call('POST', 'session')
  if (status !== 204) throw new Error(`the console answered ${status}`)
  return headers.getSetCookie()[0]!.split(';')[0]!
}
