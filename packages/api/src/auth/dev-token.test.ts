import { afterEach, describe, expect, it, vi } from 'vitest'
import { DevTokenAuthenticator, signDevToken } from './dev-token.ts'

const SECRET = 'a secret of thirty-two bytes or more'
const AUDIENCE = 'did:web:mls.example.com'
const authenticator = new DevTokenAuthenticator(SECRET, [AUDIENCE])

const token = (claims: { lxm?: string; ttlSeconds?: number } = {}) =>
  signDevToken(SECRET, { did: 'did:plc:alice', audience: AUDIENCE, ttlSeconds: 60, ...claims })

afterEach(() => vi.useRealTimers())

describe('DevTokenAuthenticator', () => {
  it('refuses a token that it has accepted before once it has expired', async () => {
    const header = `Bearer ${await token()}`
    expect(await authenticator.authenticate(header, 'a.b.c')).toEqual({ did: 'did:plc:alice' })
    vi.useFakeTimers({ now: Date.now() + 89_000, toFake: ['Date'] })
    expect(await authenticator.authenticate(header, 'a.b.c')).toEqual({ did: 'did:plc:alice' })
    vi.setSystemTime(Date.now() + 2000)
    await expect(authenticator.authenticate(header, 'a.b.c')).rejects.toMatchObject({
      refusal: { error: 'ExpiredToken' },
    })
  })

  it('refuses a token for one method at another, also when it was accepted at its own', async () => {
    const header = `Bearer ${await token({ lxm: 'a.b.c' })}`
    await authenticator.authenticate(header, 'a.b.c')
    await expect(authenticator.authenticate(header, 'a.b.d')).rejects.toMatchObject({
      refusal: { error: 'BadJwtLexiconMethod' },
    })
  })

  it('refuses a token that lives longer than a day', async () => {
    const header = `Bearer ${await token({ ttlSeconds: 2 * 86_400 })}`
    await expect(authenticator.authenticate(header, 'a.b.c')).rejects.toMatchObject({
      refusal: { error: 'InvalidToken' },
    })
  })

  it('refuses every token when there is no secret', async () => {
    const header = `Bearer ${await token()}`
    const off = new DevTokenAuthenticator(undefined, [AUDIENCE])
    await expect(off.authenticate(header, 'a.b.c')).rejects.toMatchObject({
      refusal: { error: 'InvalidToken' },
    })
  })
})
