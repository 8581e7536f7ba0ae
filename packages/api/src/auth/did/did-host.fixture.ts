import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Secp256k1Keypair } from '@atproto/crypto'

/** A real HTTP server that stands for the PLC directory or for the host of a did:web. */
export class DidHost {
  /** The paths that were asked for. */
  readonly asked: string[] = []
  /** How every request is answered. */
  answer: (response: ServerResponse) => void = (response) => status(response, 404)
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      this.asked.push(request.url ?? '')
      this.answer(response)
    })
  }

  static async start(): Promise<DidHost> {
    const host = new DidHost()
    host.#server.listen(0, 'localhost')
    await once(host.#server, 'listening')
    return host
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://localhost:${this.port}`
  }

  get did(): string {
    return `did:web:localhost%3A${this.port}`
  }

  /** Publishes one document, until told otherwise. */
  publish(document: unknown): void {
    this.answer = (response) => json(response, document)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

export function json(response: ServerResponse, document: unknown): void {
  response.setHeader('content-type', 'application/did+ld+json')
  response.end(JSON.stringify(document))
}

export function status(response: ServerResponse, code: number, headers: Record<string, string> = {}): void {
  response.writeHead(code, headers).end()
}

export async function newMultikey(): Promise<string> {
  const keypair = await Secp256k1Keypair.create()
  return keypair.did().slice('did:key:'.length)
}

/** A document like those of the PLC directory. */
export function documentOf(did: string, multikey: string): Record<string, unknown> {
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: did,
    alsoKnownAs: ['at://alice.test'],
    verificationMethod: [
      { id: `${did}#atproto`, type: 'Multikey', controller: did, publicKeyMultibase: multikey },
    ],
    service: [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: 'https://pds.test' }],
  }
}
