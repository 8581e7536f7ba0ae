import { signDevToken } from '@catbird/api/auth/dev-token'
import {
  declaredErrors,
  isProcedure,
  type MethodNsid,
  type Nsid,
  type Output,
  TRANSPORT_ERRORS,
} from '@catbird/shared/lexicon'
import { TEST_AUDIENCE, TEST_SECRET } from './identity.ts'

type Name = MethodNsid extends `blue.catbird.mls.${infer N}` ? N : never
type OutputOf<N extends Name> = Output<`blue.catbird.mls.${N}`>

/** A refusal's details lie beside `error` and `message`. */
export type ErrorBody = { error: string; message: string; [detail: string]: unknown }
export type Answer<N extends Name> = { status: number; headers: Headers; body: OutputOf<N> & ErrorBody }

type Signing = { secret: string; audience: string }
const TEST_SIGNING: Signing = { secret: TEST_SECRET, audience: TEST_AUDIENCE }

/** Calls a server over HTTP as one DID, with a development token. */
export class TestClient {
  readonly did: string
  readonly #urls: readonly string[]
  #calls = 0
  readonly #signing: Signing
  #token: Promise<string> | undefined

  /**
   * @param urls of one server, or of several that are called in turn
   * @param signing what the server expects of its tokens; that of test servers, unless told
   */
  constructor(urls: string | readonly string[], did: string, signing = TEST_SIGNING) {
    this.did = did
    this.#urls = typeof urls === 'string' ? [urls] : urls
    this.#signing = signing
  }

  token(): Promise<string> {
    const { secret, audience } = this.#signing
    this.#token ??= signDevToken(secret, { did: this.did, audience, ttlSeconds: 3600 })
    return this.#token
  }

  /** Calls a method with its input or parameters as they are; answers whatever comes back. */
  async call<N extends Name>(name: N, input: Record<string, unknown> = {}): Promise<Answer<N>> {
    const nsid = `blue.catbird.mls.${name}` as Nsid
    const headers = { Authorization: `Bearer ${await this.token()}` }
    const isQuery = !isProcedure(nsid)
    const url = this.#urls[this.#calls++ % this.#urls.length]
    const response = isQuery
      ? await fetch(`${url}/xrpc/${nsid}?${toQuery(input)}`, { headers })
      : await fetch(`${url}/xrpc/${nsid}`, {
          method: 'POST',
          headers: { ...headers, 'Content-Type': 'application/json' },
          body: JSON.stringify(input),
        })
    const body = (await response.json()) as Answer<N>['body']
    if (!response.ok) assertDeclared(nsid, body.error)
    return { status: response.status, headers: response.headers, body }
  }

  /** Calls a method that must succeed. */
  async ok<N extends Name>(name: N, input: Record<string, unknown> = {}): Promise<OutputOf<N>> {
    const { status, body } = await this.call(name, input)
    if (status !== 200) throw new Error(`${name} answered ${status} ${JSON.stringify(body)}`)
    return body
  }
}

/** Every refusal's name is in its method's lexicon or is a standard one, whatever the test is about. */
function assertDeclared(nsid: Nsid, error: string): void {
  const names: readonly string[] = [...declaredErrors(nsid), ...TRANSPORT_ERRORS]
  if (!names.includes(error)) throw new Error(`${nsid} answered ${error}, which its lexicon does not declare`)
}

function toQuery(input: Record<string, unknown>): URLSearchParams {
  const query = new URLSearchParams()
  for (const [key, value] of Object.entries(input)) {
    for (const item of Array.isArray(value) ? value : [value]) query.append(key, String(item))
  }
  return query
}

/** Bytes as clients put them into JSON. */
export function wire(bytes: Uint8Array): { $bytes: string } {
  return { $bytes: Buffer.from(bytes).toString('base64') }
}
