import { describe, expect, it } from 'vitest'
import { sendRaw } from '../support/http.ts'
import { TEST_AUDIENCE, TEST_SECRET } from '../support/identity.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

const DID_JSON = '/.well-known/did.json'

describe('a server whose SERVICE_DID is a did:web', () => {
  const { server } = useServer({ ...MODES[2].env, SERVICE_DID: `${TEST_AUDIENCE},did:web:other.example.com` })
  const documentAt = async (host: string) =>
    (await sendRaw(`${server().url}${DID_JSON}`, { method: 'GET', headers: { Host: host } })).body

  it('serves its DID document, from which a PDS learns where to proxy to', async () => {
    const response = await fetch(`${server().url}${DID_JSON}`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toContain('application/json')
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    expect(await response.json()).toEqual({
      '@context': ['https://www.w3.org/ns/did/v1'],
      id: TEST_AUDIENCE,
      service: [
        { id: '#atproto_mls', type: 'AtprotoMlsService', serviceEndpoint: 'https://mls.example.com' },
      ],
    })
  })

  it('serves the one that the host stands for where there are several', async () => {
    expect(await documentAt('other.example.com')).toMatchObject({ id: 'did:web:other.example.com' })
    expect(await documentAt('mls.example.com')).toMatchObject({ id: TEST_AUDIENCE })
    expect(await documentAt('unknown.example.com')).toMatchObject({ id: TEST_AUDIENCE })
  })

  it('says at its front door what it is, in plain text and without secrets', async () => {
    const response = await fetch(server().url)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/)
    const text = await response.text()
    expect(text).toMatch(/^catbird-mls-server \d+\.\d+\.\d+/)
    for (const word of ['MLS', 'AT Protocol', 'blue.catbird.mls', DID_JSON, '/xrpc/_health']) {
      expect(text).toContain(word)
    }
    expect(text).not.toContain(TEST_SECRET)
  })
})

describe('a server whose SERVICE_DID is no did:web', () => {
  const { server } = useServer({ ...MODES[2].env, SERVICE_DID: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz' })

  it('serves no DID document: its own is elsewhere', async () => {
    const response = await fetch(`${server().url}${DID_JSON}`)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ error: 'NotFound' })
  })
})
