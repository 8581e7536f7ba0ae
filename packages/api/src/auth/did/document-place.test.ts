import { describe, expect, it } from 'vitest'
import { documentPlace } from './document-place.ts'

const options = { plcUrl: 'https://plc.directory', allowLocalhost: true }

describe('documentPlace', () => {
  it.each([
    ['did:plc:ewvi7nxzyoun6zhxrhs64oiz', 'plc', 'https://plc.directory/did:plc:ewvi7nxzyoun6zhxrhs64oiz'],
    ['did:web:alice.example.com', 'web', 'https://alice.example.com/.well-known/did.json'],
    ['did:web:xn--bcher-kva.example', 'web', 'https://xn--bcher-kva.example/.well-known/did.json'],
    ['did:web:localhost%3A2583', 'localhost', 'http://localhost:2583/.well-known/did.json'],
    ['did:web:localhost', 'localhost', 'http://localhost:80/.well-known/did.json'],
  ])('knows where the document of %s is', (did, kind, url) => {
    expect(documentPlace(did, options)).toEqual({ kind, url })
  })

  it.each([
    'did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme',
    'did:plc:',
    'did:plc:../admin',
    'did:plc:a%2fb',
    `did:plc:${'a'.repeat(65)}`,
    'did:web:alice.example.com:users:bob',
    'did:web:alice.example.com%3A8443',
    'did:web:alice.example.com%2Fpath',
    'did:web:user@alice.example.com',
    'did:web:alice.example.com#atproto',
    'did:web:alice.example.com?x',
    'did:web:Alice.example.com',
    'did:web:alice..example.com',
    'did:web:-alice.example.com',
    `did:web:${'a.'.repeat(130)}com`,
    'did:web:intranet',
    'did:web:127.0.0.1',
    'did:web:127.1',
    'did:web:0x7f000001',
    'did:web:2130706433',
    'did:web:8.8.8.8',
    'did:web:1.2.3.0x4',
    'did:web:[::1]',
    'did:web:%5B%3A%3A1%5D',
    'did:web:localhost%3A0',
    'did:web:localhost%3A65536',
    'did:web:localhost:path',
    'did:web:localhost.',
    '',
    'alice.example.com',
  ])('does not look up %s', (did) => {
    expect(() => documentPlace(did, options)).toThrow('only did:plc and did:web')
  })

  it('asks nothing on this machine unless that is allowed', () => {
    const open = { ...options, allowLocalhost: false }
    expect(() => documentPlace('did:web:localhost%3A2583', open)).toThrow('only did:plc and did:web')
  })
})
