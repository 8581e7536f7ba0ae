import { AuthError } from '../auth-error.ts'

/** Where the document of a DID is published, and who answers there. */
export type DocumentPlace = {
  /** `plc` the directory that the operator trusts, `web` any host of the world, `localhost` a test's. */
  readonly kind: 'plc' | 'web' | 'localhost'
  readonly url: string
}

export type PlaceOptions = {
  plcUrl: string
  /** Whether `did:web:localhost%3A<port>` is looked up: for development, since anyone could name any port. */
  allowLocalhost: boolean
}

// Bounded, since DIDs are kept as keys of the cache.
const PLC = /^did:plc:[a-z0-9]{1,64}$/
/** Host names only: no address, and nothing that a URL parser would read as one, since the last label is a word. */
const WEB = /^did:web:((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9])$/
const LOCALHOST = /^did:web:localhost(?:%3[Aa]([1-9][0-9]{0,4}))?$/
const MAX_HOST_LENGTH = 253

/** Throws `AuthError` identity for a DID that AT Protocol does not know or that this server does not look up. */
export function documentPlace(did: string, { plcUrl, allowLocalhost }: PlaceOptions): DocumentPlace {
  if (PLC.test(did)) return { kind: 'plc', url: new URL(`/${did}`, plcUrl).href }
  const host = WEB.exec(did)?.[1]
  if (host !== undefined && host.length <= MAX_HOST_LENGTH) {
    return { kind: 'web', url: `https://${host}/.well-known/did.json` }
  }
  const local = allowLocalhost ? LOCALHOST.exec(did) : null
  const url = `http://localhost:${local?.[1] ?? 80}/.well-known/did.json`
  if (local && URL.canParse(url)) return { kind: 'localhost', url }
  throw new AuthError('identity', 'only did:plc and did:web of a public host name can sign in')
}
