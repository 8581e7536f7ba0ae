import { RefusalError } from '@catbird/shared/errors'
import { AuthError } from '../auth-error.ts'
import type { DocumentPlace } from './document-place.ts'
import { LookupSlots } from './lookup-slots.ts'
import { type Fetch, noPublicHost, publicFetch } from './public-fetch.ts'

export type LookupLimits = {
  /** For one lookup in all: waiting for its turn, connecting, the reply and its body. */
  timeoutMs: number
  /** DID documents of accounts have about one KiB. */
  maxBytes: number
  /** At the directory, and as many at other hosts: hosts that hang must not keep out those that do not. */
  maxRunning: number
  /** As `maxRunning`, for those that wait their turn. */
  maxWaiting: number
  /** At all hosts of one domain, running or waiting: whoever owns a domain can name any number of hosts. */
  maxPerDomain: number
}

export const LOOKUP_LIMITS: LookupLimits = {
  timeoutMs: 3000,
  maxBytes: 64 * 1024,
  maxRunning: 32,
  maxWaiting: 500,
  maxPerDomain: 8,
}

export type FetcherOptions = {
  limits?: Partial<LookupLimits>
  /** How hosts that strangers choose are asked. */
  fetchPublic?: Fetch
}

/** Gets DID documents from where they are published, within bounds of time, size and number. */
export class DocumentFetcher {
  readonly #limits: LookupLimits
  readonly #fetchPublic: Fetch
  readonly #slots: Record<'plc' | 'web', LookupSlots>
  /** Lookups that run or wait, by domain. */
  readonly #ofDomains = new Map<string, number>()

  constructor(options: FetcherOptions = {}) {
    const limits = { ...LOOKUP_LIMITS, ...options.limits }
    this.#limits = limits
    this.#fetchPublic = options.fetchPublic ?? publicFetch()
    this.#slots = {
      plc: new LookupSlots(limits.maxRunning, limits.maxWaiting),
      web: new LookupSlots(limits.maxRunning, limits.maxWaiting),
    }
  }

  /**
   * The published JSON. Throws `AuthError` identity when whoever answers for the DID says that there is none, or
   * publishes something else; `RefusalError` IdentityUnavailable when there is no such answer now.
   */
  async get(place: DocumentPlace): Promise<unknown> {
    if (place.kind !== 'web') return this.#getInTurn(place)
    const domain = domainOf(place.url)
    this.#enter(domain)
    try {
      return await this.#getInTurn(place)
    } finally {
      this.#leave(domain)
    }
  }

  async #getInTurn(place: DocumentPlace): Promise<unknown> {
    const slots = this.#slots[place.kind === 'plc' ? 'plc' : 'web']
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(new Error('no answer in time')), this.#limits.timeoutMs)
    try {
      await slots.take(deadline.signal)
      try {
        return parse(await this.#load(place, deadline.signal))
      } finally {
        slots.release()
      }
    } catch (error) {
      if (error instanceof AuthError) throw error
      const host = noPublicHost(error)
      if (host) throw new AuthError('identity', host.message)
      throw unavailable(error)
    } finally {
      clearTimeout(timer)
    }
  }

  #enter(domain: string): void {
    const count = this.#ofDomains.get(domain) ?? 0
    if (count >= this.#limits.maxPerDomain) throw unavailable(new Error('too many lookups at one domain'))
    this.#ofDomains.set(domain, count + 1)
  }

  #leave(domain: string): void {
    const count = this.#ofDomains.get(domain)! - 1
    if (count > 0) this.#ofDomains.set(domain, count)
    else this.#ofDomains.delete(domain)
  }

  async #load({ kind, url }: DocumentPlace, signal: AbortSignal): Promise<string> {
    const get: Fetch = kind === 'web' ? this.#fetchPublic : fetch
    const accept = 'application/did+ld+json, application/json'
    // Manual: a redirect is an answer that is not a document, never a place to go to.
    const response = await get(url, { redirect: 'manual', headers: { accept }, signal })
    if (response.status === 200) return await readBody(response, this.#limits.maxBytes)
    await response.body?.cancel()
    if (!isAbsence(kind, response.status)) throw new Error(`answered ${response.status}`)
    throw new AuthError('identity', 'there is no such DID, or it is no longer in use')
  }
}

/** Roughly what is registered: below a suffix like co.uk strangers share one, which only bounds them more. */
function domainOf(url: string): string {
  return new URL(url).hostname.split('.').slice(-2).join('.')
}

/** Whether the status speaks about the DID, rather than about the server that was asked. */
function isAbsence(kind: DocumentPlace['kind'], status: number): boolean {
  // 410 is a tombstone. Anything else would be wrong for every DID at once, like a proxy in between.
  if (kind === 'plc') return status === 400 || status === 404 || status === 410
  return status < 500 && status !== 408 && status !== 429
}

async function readBody(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    // Leaving the loop closes the connection.
    if (size > maxBytes) throw new AuthError('identity', 'the DID document is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new AuthError('identity', 'what is published for the DID is not JSON')
  }
}

function unavailable(cause: unknown): RefusalError {
  const error = new RefusalError('IdentityUnavailable', 'the identity cannot be looked up now')
  error.cause = cause
  return error
}
