import type { Context } from 'hono'
import type { Config } from '../config.ts'

/** Without a path: with one, the document lies elsewhere. */
const DID_WEB = /^did:web:([a-z0-9._-]+(?:%3a\d+)?)$/i

/** The DID document of a service that is a did:web: where its `#atproto_mls` is, for PDSs that proxy to it. */
export function didDocument(did: string, publicUrl: string) {
  return {
    '@context': ['https://www.w3.org/ns/did/v1'],
    id: did,
    service: [{ id: '#atproto_mls', type: 'AtprotoMlsService', serviceEndpoint: publicUrl }],
  }
}

/** Answers the document of the SERVICE_DID that the request's host stands for; any other host gets the first. */
export function serveDidDocument({ auth, server }: Config): (c: Context) => Response {
  const { publicUrl } = server
  const documents = new Map<string, ReturnType<typeof didDocument>>()
  for (const did of publicUrl === undefined ? [] : auth.audiences) {
    const host = DID_WEB.exec(did)?.[1]
    if (host) documents.set(host.replace(/%3a/i, ':').toLowerCase(), didDocument(did, publicUrl!))
  }
  const [first] = documents.values()
  return function ownDidDocument(c) {
    const document = documents.get((c.req.header('host') ?? '').toLowerCase()) ?? first
    if (!document) return c.json({ error: 'NotFound', message: 'this service has no did:web' }, 404)
    return c.json(document)
  }
}
