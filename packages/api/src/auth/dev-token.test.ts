import { createHmac } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { DevTokenAuthenticator, signDevToken } from './dev-token.ts'
import { base64url, failureOf } from './service-token.fixture.ts'

const SECRET = 'a secret of thirty-two bytes or more'
const AUDIENCE = 'did:web:mls.example.com'
const authenticator = new DevTokenAuthenticator(SECRET, [AUDIENCE])

const token = (claims: { lxm?: string; ttlSeconds?: number } = {}) =>
  signDevToken(SECRET, { did: 'did:plc:alice', audience: AUDIENCE, ttlSeconds: 60, ...claims })

/** Any claims and header, signed. */
function rawToken(changes: object, { secret = SECRET, ...header }: { secret?: string; alg?: string } = {}) {
  const exp = Math.floor(Date.now() / 1000) + 60
  const payload = { iss: 'did:plc:alice', aud: AUDIENCE, exp, ...changes }
  const text = `${base64url({ alg: 'HS256', ...header })}.${base64url(payload)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

afterEach(() => vi.useRealTimers())

describe('DevTokenAuthenticator', () => {
  it('refuses a token that it has accepted before once it has expired', async () => {
    const header = `Bearer ${await token()}`
    expect(await authenticator.authenticate(header, 'a.b.c')).toEqual({ did: 'did:plc:alice' })
    vi.useFakeTimers({ now: Date.now() + 89_000, toFake: ['Date'] })
    expect(await authenticator.authenticate(header, 'a.b.c')).toEqual({ did: 'did:plc:alice' })
    vi.setSystemTime(Date.now() + 2000)
    expect(await failureOf(authenticator.authenticate(header, 'a.b.c'))).toBe('ExpiredToken expired')
  })

  it('refuses a token for one method at another, also when it was accepted at its own', async () => {
    const header = `Bearer ${await token({ lxm: 'a.b.c' })}`
    await authenticator.authenticate(header, 'a.b.c')
    expect(await failureOf(authenticator.authenticate(header, 'a.b.d'))).toBe('BadJwtLexiconMethod method')
  })

  it('refuses a token that lives longer than a day', async () => {
    const header = `Bearer ${await token({ ttlSeconds: 2 * 86_400 })}`
    expect(await failureOf(authenticator.authenticate(header, 'a.b.c'))).toBe('InvalidToken lifetime')
  })

  it('refuses every token when there is no secret', async () => {
    const header = `Bearer ${await token()}`
    const off = new DevTokenAuthenticator(undefined, [AUDIENCE])
    expect(await failureOf(off.authenticate(header, 'a.b.c'))).toBe('InvalidToken algorithm')
  })

  it.each([
    ['no token', '', 'AuthenticationRequired missing'],
    ['no JWT', 'Bearer x', 'InvalidToken malformed'],
    ['another algorithm', `Bearer ${rawToken({}, { alg: 'HS384' })}`, 'InvalidToken algorithm'],
    ['another secret', `Bearer ${rawToken({}, { secret: 'x' })}`, 'BadJwtSignature signature'],
    ['no issuer', `Bearer ${rawToken({ iss: undefined })}`, 'InvalidToken issuer'],
    ['an issuer that is no DID', `Bearer ${rawToken({ iss: 'alice' })}`, 'InvalidToken issuer'],
    ['no audience', `Bearer ${rawToken({ aud: undefined })}`, 'BadJwtAudience audience'],
    [
      'another audience',
      `Bearer ${rawToken({ aud: 'did:web:other.example.com' })}`,
      'BadJwtAudience audience',
    ],
    ['no expiry', `Bearer ${rawToken({ exp: undefined })}`, 'InvalidToken expiry'],
    ['an expiry long ago', `Bearer ${rawToken({ exp: 1 })}`, 'ExpiredToken expired'],
    ['a beginning far ahead', `Bearer ${rawToken({ nbf: 1e11 })}`, 'InvalidToken issued_at'],
  ])('names what is wrong with %s', async (_what, header, failure) => {
    expect(await failureOf(authenticator.authenticate(header, 'a.b.c'))).toBe(failure)
  })
})
