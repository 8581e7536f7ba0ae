import { createRequire } from 'node:module'
import { type DidDocument, didDocument as schema } from '@atproto/identity'
import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { type Config, loadConfig } from '../config.ts'
import { didDocument, serveDidDocument } from './did-document.ts'

type ServiceQuery = { id: string; type?: string }
type Helpers = { getServiceEndpoint(doc: DidDocument, query: ServiceQuery): string | undefined }

/** What AT Protocol software finds services with, as the identity library has it. */
const { getServiceEndpoint } = createRequire(createRequire(import.meta.url).resolve('@atproto/identity'))(
  '@atproto/common-web',
) as Helpers

const DATABASE_URL = 'postgres://localhost/none'
const configOf = (env: Record<string, string>): Config => loadConfig({ DATABASE_URL, ...env })

async function ask(config: Config, host?: string) {
  const app = new Hono().get('/.well-known/did.json', serveDidDocument(config))
  const response = await app.request('/.well-known/did.json', host ? { headers: { host } } : {})
  return { status: response.status, body: (await response.json()) as { id?: string; error?: string } }
}

describe('didDocument', () => {
  it('is one that AT Protocol software reads, with the service where it looks for it', () => {
    const document = schema.parse(didDocument('did:web:mls.example.com', 'https://mls.example.com'))
    expect(document.id).toBe('did:web:mls.example.com')
    for (const query of [{ id: '#atproto_mls' }, { id: '#atproto_mls', type: 'AtprotoMlsService' }]) {
      expect(getServiceEndpoint(document, query)).toBe('https://mls.example.com')
    }
    expect(getServiceEndpoint(document, { id: '#atproto_pds' })).toBeUndefined()
  })
})

describe('serveDidDocument', () => {
  it('answers the service DID, with the public URL', async () => {
    const env = { SERVICE_DID: 'did:web:mls.example.com', PUBLIC_URL: 'https://front.example.com' }
    expect(await ask(configOf(env))).toEqual({
      status: 200,
      body: didDocument('did:web:mls.example.com', 'https://front.example.com'),
    })
  })

  it('answers by host where there are several, and the first to any other host', async () => {
    const config = configOf({
      SERVICE_DID: 'did:plc:abc,did:web:one.example.com,did:web:localhost%3A3000,did:web:Two.example.com',
    })
    const idAt = async (host?: string) => (await ask(config, host)).body.id
    expect(await idAt('two.example.com')).toBe('did:web:Two.example.com')
    expect(await idAt('LOCALHOST:3000')).toBe('did:web:localhost%3A3000')
    expect(await idAt('one.example.com')).toBe('did:web:one.example.com')
    expect(await idAt('other.example.com')).toBe('did:web:one.example.com')
    expect(await idAt('__proto__')).toBe('did:web:one.example.com')
    expect(await idAt()).toBe('did:web:one.example.com')
  })

  it('answers 404 where there is no did:web, or one whose document lies elsewhere', async () => {
    for (const did of ['did:plc:abc', 'did:web:example.com:mls']) {
      const env = { SERVICE_DID: did, PUBLIC_URL: 'https://mls.example.com' }
      expect(await ask(configOf(env))).toMatchObject({ status: 404, body: { error: 'NotFound' } })
    }
    expect((await ask(configOf({ SERVICE_DID: 'did:plc:abc' }))).status).toBe(404)
  })
})
