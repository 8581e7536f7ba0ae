import { RefusalError } from '@catbird/shared/errors'
import { describe, expect, it } from 'vitest'
import type { ServiceAuthenticator } from './service-authenticator.ts'
import {
  ALICE,
  AUDIENCE,
  BOB,
  base64url,
  claims,
  failureOf,
  makeKey,
  makeWorld,
  NOW_S,
  PROCEDURE,
  QUERY,
  signToken,
} from './service-token.fixture.ts'

describe('ServiceAuthenticator', () => {
  const { alice, bob, service } = makeWorld()
  const accepts = async (token: string, did = ALICE) =>
    expect(await service.authenticate(`Bearer ${token}`, QUERY)).toEqual({ did })

  it('accepts tokens of both curves, with a low and with a high s', async () => {
    for (const [key, iss] of [
      [alice, ALICE],
      [bob, BOB],
    ] as const) {
      const text = `${base64url({ alg: key.algorithm })}.${base64url(claims({ iss }))}`
      for (const size of ['low', 'high'] as const) {
        await accepts(`${text}.${key.withS(size, key.sign(text)).toString('base64url')}`, iss)
      }
    }
  })

  it.each([
    ['the service as audience', { aud: `${AUDIENCE}#atproto_mls` }],
    ['no iat', { iat: undefined }],
    ['a sub that is the issuer', { sub: ALICE }],
    ['claims that mean nothing here', { scope: 'x', nonce: [1, { a: null }] }],
    ['an exp just within the skew', { exp: NOW_S - 29 }],
    ['the longest lifetime, and the skew', { exp: NOW_S + 330 }],
    ['a fraction of a second', { exp: NOW_S + 0.5, iat: NOW_S - 0.5 }],
    ['an iat within the skew', { iat: NOW_S + 30 }],
    ['an nbf within the skew', { nbf: NOW_S + 30 }],
    ['a jti of 256 characters', { jti: 'j'.repeat(256) }],
  ])('accepts a token with %s', (_what, changes) => accepts(signToken(alice, claims(changes))))

  it.each([{ typ: undefined }, { typ: 'jwt' }, { typ: 'application/JWT' }, { kid: '#atproto' }])(
    'accepts a token with the header %o',
    (header) => accepts(signToken(alice, claims(), header)),
  )

  it('accepts each of several audiences', async () => {
    const world = makeWorld({ audiences: [AUDIENCE, 'did:web:old.example.com'] })
    for (const aud of [AUDIENCE, 'did:web:old.example.com', 'did:web:old.example.com#atproto_mls']) {
      const token = signToken(world.alice, claims({ aud }))
      expect(await world.service.authenticate(`Bearer ${token}`, QUERY)).toEqual({ did: ALICE })
    }
  })

  it('without ENFORCE_LXM accepts a token that names no method, and none that names another', async () => {
    const world = makeWorld({ enforceLxm: false })
    const judge = (lxm?: string) =>
      world.service.authenticateToken(signToken(world.alice, claims({ lxm })), QUERY)
    expect(await judge()).toEqual({ did: ALICE })
    expect(await failureOf(judge(PROCEDURE))).toBe('BadJwtLexiconMethod method')
  })

  it('says how long a token may live', async () => {
    const token = signToken(alice, claims({ exp: NOW_S + 3600 }))
    await expect(service.authenticateToken(token, QUERY)).rejects.toMatchObject({
      refusal: { details: { maxLifetimeS: 300 } },
    })
  })
})

/** Authenticates a procedure and uses its token up. */
async function use(service: ServiceAuthenticator, token: string) {
  return (await service.authenticateToken(token, PROCEDURE)).useToken!()
}

describe('a token for a procedure', () => {
  it('is not used by being recognised', async () => {
    const { alice, service } = makeWorld()
    const token = signToken(alice, forProcedure())
    for (let i = 0; i < 3; i++) await service.authenticateToken(token, PROCEDURE)
    expect(await use(service, token)).toHaveProperty('hash')
  })

  const forProcedure = (changes = {}) => claims({ lxm: PROCEDURE, ...changes })

  it('is good once, and comes with what stops its use in other processes', async () => {
    const { alice, service } = makeWorld()
    const token = signToken(alice, forProcedure())
    expect(await use(service, token)).toEqual({
      hash: expect.stringMatching(/^[0-9a-f]{32}$/),
      expiresAtMs: (NOW_S + 60 + 30) * 1000,
    })
    expect(await failureOf(use(service, token))).toBe('ReplayedToken replayed')
  })

  it('is good for one of a hundred requests at once', async () => {
    const { alice, service } = makeWorld()
    const token = signToken(alice, forProcedure())
    const attempts = Array.from({ length: 100 }, () => use(service, token))
    const outcomes = await Promise.allSettled(attempts)
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('is used up by issuer and id, however else it differs', async () => {
    const { alice, bob, service } = makeWorld()
    const jti = 'the same'
    await use(service, signToken(alice, forProcedure({ jti })))
    for (const changes of [
      {},
      { exp: NOW_S + 200 },
      { iat: undefined },
      { aud: `${AUDIENCE}#atproto_mls` },
    ]) {
      const again = use(service, signToken(alice, forProcedure({ jti, ...changes })))
      expect(await failureOf(again)).toBe('ReplayedToken replayed')
    }
    const ofBob = signToken(bob, forProcedure({ jti, iss: BOB }))
    expect(await service.authenticateToken(ofBob, PROCEDURE)).toMatchObject({ did: BOB })
  })

  it('is not used up by a forgery', async () => {
    const { alice, service } = makeWorld()
    const payload = forProcedure()
    const forged = service.authenticateToken(signToken(makeKey('ES256K'), payload), PROCEDURE)
    expect(await failureOf(forged)).toBe('BadJwtSignature signature')
    expect(await service.authenticateToken(signToken(alice, payload), PROCEDURE)).toMatchObject({
      did: ALICE,
    })
  })

  it('is refused by name when no more can be remembered', async () => {
    const { alice, service } = makeWorld({ maxTokens: 1 })
    await use(service, signToken(alice, forProcedure()))
    const next = use(service, signToken(alice, forProcedure()))
    expect(await failureOf(next)).toBe('Overloaded')
  })

  it('is refused when it expires while the key is looked for', async () => {
    const { alice, service, documents, clock } = makeWorld()
    documents.whileFinding = () => {
      clock.nowMs += 91_000
    }
    const late = use(service, signToken(alice, forProcedure()))
    expect(await failureOf(late)).toBe('ExpiredToken expired')
  })
})

describe('a token for a query', () => {
  it('is good until it expires, and its key is looked for once', async () => {
    const { alice, service, documents, clock } = makeWorld()
    const token = signToken(alice)
    expect(await service.authenticateToken(token, QUERY)).toEqual({ did: ALICE })
    documents.remembered.clear()
    clock.nowMs += 89_999
    expect(await service.authenticateToken(token, QUERY)).toEqual({ did: ALICE })
    expect(documents.finds).toBe(1)
    clock.nowMs += 1
    expect(await failureOf(service.authenticateToken(token, QUERY))).toBe('ExpiredToken expired')
  })

  it('is refused at another method, also when it was accepted at its own', async () => {
    const { alice, service } = makeWorld()
    const token = signToken(alice)
    await service.authenticateToken(token, QUERY)
    for (const other of [PROCEDURE, 'blue.catbird.mls.getEpoch']) {
      expect(await failureOf(service.authenticateToken(token, other))).toBe('BadJwtLexiconMethod method')
    }
  })

  it('may still be used for one procedure when it names no method', async () => {
    const { alice, service, documents } = makeWorld({ enforceLxm: false })
    const token = signToken(alice, claims({ lxm: undefined }))
    await service.authenticateToken(token, QUERY)
    expect(await use(service, token)).toHaveProperty('hash')
    expect(documents.finds).toBe(2)
    expect(await failureOf(use(service, token))).toBe('ReplayedToken replayed')
    expect(await service.authenticateToken(token, QUERY)).toEqual({ did: ALICE })
  })
})

describe('the key of an account', () => {
  it.each(['ES256', 'ES256K'] as const)('may have been changed to another one, for %s', async (algorithm) => {
    const { service, documents } = makeWorld()
    const next = makeKey(algorithm)
    documents.published.set(ALICE, next.verifier)
    expect(await service.authenticateToken(signToken(next), QUERY)).toEqual({ did: ALICE })
    expect(documents.refreshes).toBe(1)
  })

  it.each(['ES256', 'ES256K'] as const)(
    'is looked at again only once for a forgery by %s',
    async (algorithm) => {
      const { service, documents, alice } = makeWorld()
      documents.published.set(ALICE, alice.verifier)
      await expect(service.authenticateToken(signToken(makeKey(algorithm)), QUERY)).rejects.toThrow()
      expect(documents).toMatchObject({ finds: 1, refreshes: 1 })
    },
  )

  it('that was replaced signs no more tokens', async () => {
    const { alice, service, documents } = makeWorld()
    documents.remembered.set(ALICE, makeKey('ES256K').verifier)
    const answer = service.authenticateToken(signToken(alice), QUERY)
    expect(await failureOf(answer)).toBe('BadJwtSignature signature')
  })

  it('is not looked for when the claims or the size of the signature are wrong', async () => {
    const { alice, service, documents } = makeWorld()
    const truncated = signToken(alice).slice(0, -2)
    for (const token of [truncated, signToken(alice, claims({ jti: '' }))]) {
      await expect(service.authenticateToken(token, QUERY)).rejects.toThrow()
    }
    expect(documents.finds).toBe(0)
  })

  it('that cannot be found just now is no fault of the token', async () => {
    const keys = {
      find: () => Promise.reject(new RefusalError('IdentityUnavailable', 'nobody can tell now')),
      refresh: () => Promise.resolve(undefined),
    }
    const { alice, service } = makeWorld({ keys })
    expect(await failureOf(service.authenticateToken(signToken(alice), QUERY))).toBe('IdentityUnavailable')
  })
})
