import { isProcedure, type Nsid, type Output } from '@catbird/shared/lexicon'
import type { Caller } from '../caller.ts'
import type { Answer } from '../client.ts'

type Name = Parameters<Caller['call']>[0]
type OutputOf<N extends Name> = Output<`blue.catbird.mls.${N}`>
type Send = (nsid: Nsid, path: string, init: RequestInit) => Promise<Response>

/** Calls the service's methods as an account of the network; how a request gets there is up to `send`. */
export class XrpcCaller implements Caller {
  readonly did: string
  readonly #send: Send

  constructor(did: string, send: Send) {
    this.did = did
    this.#send = send
  }

  /** @param tokenFor asked before each call */
  static withTokens(did: string, url: string, tokenFor: (nsid: Nsid) => Promise<string>): XrpcCaller {
    return new XrpcCaller(did, async (nsid, path, init) => {
      const headers = new Headers(init.headers)
      headers.set('Authorization', `Bearer ${await tokenFor(nsid)}`)
      return fetch(url + path, { ...init, headers })
    })
  }

  /** Calls a method with its input or parameters as they are; answers whatever comes back. */
  async call<N extends Name>(name: N, input: Record<string, unknown> = {}): Promise<Answer<N>> {
    const nsid = `blue.catbird.mls.${name}` as Nsid
    const response = await this.#send(nsid, ...requestFor(nsid, input))
    const body = (await response.json()) as Answer<N>['body']
    return { status: response.status, headers: response.headers, body }
  }

  /** Calls a method that must succeed. */
  async ok<N extends Name>(name: N, input: Record<string, unknown> = {}): Promise<OutputOf<N>> {
    const { status, body } = await this.call(name, input)
    if (status !== 200) throw new Error(`${name} answered ${status} ${JSON.stringify(body)}`)
    return body
  }
}

function requestFor(nsid: Nsid, input: Record<string, unknown>): [path: string, init: RequestInit] {
  if (!isProcedure(nsid)) {
    const pairs = Object.entries(input).flatMap(([key, value]) =>
      (Array.isArray(value) ? value : [value]).map((item): [string, string] => [key, String(item)]),
    )
    return [`/xrpc/${nsid}?${new URLSearchParams(pairs)}`, { method: 'GET' }]
  }
  const headers = { 'Content-Type': 'application/json' }
  return [`/xrpc/${nsid}`, { method: 'POST', headers, body: JSON.stringify(input) }]
}
