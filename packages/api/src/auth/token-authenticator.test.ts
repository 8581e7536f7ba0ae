import { createHmac } from 'node:crypto'
import type { ErrorName } from '@catbird/shared/errors'
import { describe, expect, it } from 'vitest'
import type { AuthFailure } from './auth-error.ts'
import { DevTokenAuthenticator, signDevToken } from './dev-token.ts'
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
  type TestKey,
} from './service-token.fixture.ts'
import { TokenAuthenticator } from './token-authenticator.ts'

const SECRET = 'a secret of thirty-two bytes or more'
const world = makeWorld({ maxTokens: 2 })
const { alice, bob, service } = world
const failures: AuthFailure[] = []
const dev = new DevTokenAuthenticator(SECRET, [AUDIENCE])
const authenticator = new TokenAuthenticator({
  dev,
  service,
  onFailure: (reason) => failures.push(reason),
})

const bearer = (token: string) => `Bearer ${token}`
const withClaims = (changes: Record<string, unknown>) => bearer(signToken(alice, claims(changes)))
const withHeader = (header: object) => bearer(signToken(alice, claims(), header))

/** Signs whatever text the two parts are, as no library would. */
function signParts(head: string, body: string): string {
  const text = `${head}.${body}`
  return bearer(`${text}.${alice.sign(text).toString('base64url')}`)
}

const HEAD = base64url({ alg: 'ES256K' })
const BODY = base64url(claims())
const withSignature = (change: (signature: Buffer) => Buffer) =>
  bearer(`${HEAD}.${BODY}.${change(alice.sign(`${HEAD}.${BODY}`)).toString('base64url')}`)

function hmacToken(secret: string | Buffer, alg = 'HS256'): string {
  const text = `${base64url({ alg, typ: 'JWT' })}.${BODY}`
  return bearer(`${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`)
}

/** A payload whose base64url form has characters that base64 writes otherwise, and one that wants padding. */
const MARKED = JSON.stringify(claims({ note: '???>>>~~~' }))
const PADDED = [0, 1, 2].map((n) => base64url(claims({ note: 'x'.repeat(n) }))).find((p) => p.length % 4)!
const [GOOD_HEAD, GOOD_BODY, GOOD_SIGNATURE] = signToken(alice).split('.') as [string, string, string]

/** By the error's name and the reason. */
type BadTokens = Partial<Record<`${ErrorName} ${AuthFailure}`, Record<string, string | undefined>>>
const BAD: BadTokens = {
  'AuthenticationRequired missing': { 'no header': undefined, 'an empty header': '' },
  'InvalidToken malformed': {
    'a scheme alone': 'Bearer',
    'a scheme and a space': 'Bearer ',
    'another scheme': `Basic ${signToken(alice)}`,
    'DPoP as scheme': `DPoP ${signToken(alice)}`,
    'no scheme': signToken(alice),
    'two tokens': `Bearer ${signToken(alice)}, Bearer ${signToken(alice)}`,
    'whitespace inside': `Bearer ${GOOD_HEAD}. ${GOOD_BODY}.${GOOD_SIGNATURE}`,
    'whitespace behind': `Bearer ${signToken(alice)} `,
    'a token of more than 4096 characters': withClaims({ note: 'x'.repeat(3000) }),
    'one part': bearer('x'),
    'two parts': bearer(`${HEAD}.${BODY}`),
    'four parts': bearer(`${signToken(alice)}.AAAA`),
    'five parts, as of an encrypted token': bearer(`${HEAD}.AAAA.AAAA.AAAA.AAAA`),
    'an empty header part': signParts('', BODY),
    'an empty payload': signParts(HEAD, ''),
    'a header that is not JSON': signParts(base64url('alg=ES256K'), BODY),
    'a header that is an array': signParts(base64url(['ES256K']), BODY),
    'a header that is null': signParts(base64url('null'), BODY),
    'a payload that is not JSON': signParts(HEAD, base64url('{"iss":')),
    'a payload that is an array': signParts(HEAD, base64url([claims()])),
    'a payload that is a string': signParts(HEAD, base64url('"did:plc:alice"')),
    'a payload that is null': signParts(HEAD, base64url('null')),
    'a payload that is not UTF-8': signParts(HEAD, Buffer.from('{"\xff":1}', 'latin1').toString('base64url')),
    'a byte order mark': signParts(HEAD, base64url(`\ufeff${JSON.stringify(claims())}`)),
    'the base64 alphabet': signParts(HEAD, Buffer.from(MARKED).toString('base64').replaceAll('=', '')),
    'a padded payload': signParts(HEAD, PADDED.padEnd(Math.ceil(PADDED.length / 4) * 4, '=')),
    'a padded signature': bearer(`${signToken(alice)}==`),
    'a signature with bits behind its last byte': bearer(signToken(alice).replace(/.$/, nextDigit)),
  },
  'InvalidToken type': {
    'an access token': withHeader({ typ: 'at+jwt' }),
    'a refresh token': withHeader({ typ: 'refresh+jwt' }),
    'a DPoP proof': withHeader({ typ: 'dpop+jwt' }),
    'an access token by its whole media type': withHeader({ typ: 'application/at+jwt' }),
    'a DPoP proof in capitals': withHeader({ typ: 'Application/DPoP+JWT' }),
    'a typ that is no string': withHeader({ typ: ['JWT'] }),
    'an access token with a foreign algorithm': withHeader({ typ: 'AT+JWT', alg: 'none' }),
  },
  'InvalidToken algorithm': {
    'no alg': withHeader({ alg: undefined }),
    'alg none and no signature': bearer(`${base64url({ alg: 'none' })}.${BODY}.`),
    'alg None': withHeader({ alg: 'None' }),
    'alg in lower case': withHeader({ alg: 'es256k' }),
    'alg that is no string': withHeader({ alg: ['ES256K'] }),
    'HS384 with the public key as secret': hmacToken(alice.point, 'HS384'),
    RS256: withHeader({ alg: 'RS256' }),
    ES384: withHeader({ alg: 'ES384' }),
    EdDSA: withHeader({ alg: 'EdDSA' }),
    'the algorithm of another curve': withHeader({ alg: 'ES256' }),
    'a key of another curve': bearer(signToken(makeKey('ES256'))),
    'a critical extension': withHeader({ crit: ['b64'], b64: true }),
    'a list of no critical extensions': withHeader({ crit: [] }),
  },
  'InvalidToken issuer': {
    'no iss': withClaims({ iss: undefined }),
    'an iss that is no string': withClaims({ iss: [ALICE] }),
    'an empty iss': withClaims({ iss: '' }),
    'a handle': withClaims({ iss: 'alice.example.com' }),
    'an iss with a fragment': withClaims({ iss: `${ALICE}#atproto` }),
    'an iss with a query': withClaims({ iss: `${ALICE}?x=1` }),
    'an iss with a path': withClaims({ iss: `${ALICE}/x` }),
    'an iss with whitespace': withClaims({ iss: ` ${ALICE}` }),
    'an iss with a line break': withClaims({ iss: `${ALICE}\n` }),
    'a did:key': withClaims({ iss: `did:key:${alice.multikey}` }),
    'another method that begins the same': withClaims({ iss: 'did:plcx:alice' }),
    'a method in capitals': withClaims({ iss: 'did:PLC:alice' }),
    'a did:web with a path': withClaims({ iss: 'did:web:example.com:users:alice' }),
    'a did:web with a port that is not encoded': withClaims({ iss: 'did:web:localhost:3000' }),
    'a sub instead of iss': withClaims({ iss: undefined, sub: ALICE }),
  },
  'InvalidToken subject': {
    'the sub of another': withClaims({ sub: BOB }),
    'a sub that is null': withClaims({ sub: null }),
    'an empty sub': withClaims({ sub: '' }),
  },
  'BadJwtAudience audience': {
    'no aud': withClaims({ aud: undefined }),
    'aud of another service': withClaims({ aud: 'did:web:other.example.com' }),
    'aud of a service below': withClaims({ aud: `${AUDIENCE}.evil.example` }),
    'aud that is the issuer': withClaims({ aud: ALICE }),
    'aud in an array': withClaims({ aud: [AUDIENCE] }),
    'aud in an array of two': withClaims({ aud: ['did:web:other.example.com', AUDIENCE] }),
    'aud with another fragment': withClaims({ aud: `${AUDIENCE}#bsky_appview` }),
    'aud with an empty fragment': withClaims({ aud: `${AUDIENCE}#` }),
    'aud with a longer fragment': withClaims({ aud: `${AUDIENCE}#atproto_mls2` }),
    'aud with a slash behind': withClaims({ aud: `${AUDIENCE}/` }),
    'aud in capitals': withClaims({ aud: 'did:web:MLS.example.com' }),
    'aud as address': withClaims({ aud: 'https://mls.example.com' }),
  },
  'InvalidToken expiry': {
    'no exp': withClaims({ exp: undefined }),
    'exp in a string': withClaims({ exp: String(NOW_S + 60) }),
    'exp null': withClaims({ exp: null }),
    'exp true': withClaims({ exp: true }),
    'an infinite exp': signParts(HEAD, base64url(JSON.stringify(claims({ exp: 9 })).replace(':9', ':1e999'))),
  },
  'ExpiredToken expired': {
    'expired an hour ago': withClaims({ exp: NOW_S - 3600 }),
    'expired by the skew': withClaims({ exp: NOW_S - 30 }),
    'exp zero': withClaims({ exp: 0 }),
    'a negative exp': withClaims({ exp: -1e300 }),
  },
  'InvalidToken lifetime': {
    'a second too long': withClaims({ exp: NOW_S + 331 }),
    'a year': withClaims({ exp: NOW_S + 31_536_000 }),
    'exp in milliseconds': withClaims({ exp: (NOW_S + 60) * 1000 }),
    'the largest exp': withClaims({ exp: Number.MAX_VALUE }),
  },
  'InvalidToken issued_at': {
    'iat in the future': withClaims({ iat: NOW_S + 31 }),
    'iat in milliseconds': withClaims({ iat: NOW_S * 1000 }),
    'iat in a string': withClaims({ iat: String(NOW_S) }),
    'iat null': withClaims({ iat: null }),
    'not good yet': withClaims({ nbf: NOW_S + 31 }),
    'nbf in a string': withClaims({ nbf: String(NOW_S) }),
  },
  'BadJwtLexiconMethod method': {
    'no lxm': withClaims({ lxm: undefined }),
    'lxm null': withClaims({ lxm: null }),
    'an empty lxm': withClaims({ lxm: '' }),
    'lxm of another method': withClaims({ lxm: PROCEDURE }),
    'lxm that begins the same': withClaims({ lxm: QUERY.slice(0, -1) }),
    'lxm that goes on': withClaims({ lxm: `${QUERY}s` }),
    'lxm in another case': withClaims({ lxm: QUERY.toLowerCase() }),
    'a wildcard': withClaims({ lxm: 'blue.catbird.mls.*' }),
    'lxm in an array': withClaims({ lxm: [QUERY] }),
  },
  'InvalidToken token_id': {
    'no jti': withClaims({ jti: undefined }),
    'an empty jti': withClaims({ jti: '' }),
    'a jti of 257 characters': withClaims({ jti: 'j'.repeat(257) }),
    'a jti that is a number': withClaims({ jti: 1 }),
    'a jti that is null': withClaims({ jti: null }),
  },
  'InvalidToken identity': { 'an account that nobody knows': withClaims({ iss: 'did:plc:nobody' }) },
  'BadJwtSignature signature': {
    'no signature': bearer(`${HEAD}.${BODY}.`),
    'a signature of zeros': withSignature(() => Buffer.alloc(64)),
    'a truncated signature': withSignature((signature) => signature.subarray(0, 63)),
    'a longer signature': withSignature((signature) => Buffer.concat([signature, Buffer.of(0)])),
    'a DER signature': withSignature(() => alice.sign(`${HEAD}.${BODY}`, 'der')),
    'r and s exchanged': withSignature((signature) =>
      Buffer.concat([signature.subarray(32), signature.subarray(0, 32)]),
    ),
    'the signature of another token': bearer(`${HEAD}.${BODY}.${GOOD_SIGNATURE}`),
    'claims changed after signing': bearer(`${GOOD_HEAD}.${base64url(claims())}.${GOOD_SIGNATURE}`),
    'a header changed after signing': bearer(`${HEAD}.${GOOD_BODY}.${GOOD_SIGNATURE}`),
    'the key of nobody': bearer(signToken(makeKey('ES256K'))),
    'the key of another account': bearer(signToken(bob, claims({ iss: ALICE }), { alg: 'ES256K' })),
    'a key that comes with the token': bearer(
      signToken(bob, claims(), { alg: 'ES256K', jwk: bob.publicKey.export({ format: 'jwk' }) }),
    ),
    'HS256 with the public point as secret': hmacToken(alice.point),
    'HS256 with the multikey as secret': hmacToken(alice.multikey),
    'HS256 with the public key in PEM as secret': hmacToken(
      alice.publicKey.export({ format: 'pem', type: 'spki' }),
    ),
  },
}

/** Of the last digit of 64 bytes in base64url only the first two bits count. */
function nextDigit(digit: string): string {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return digits[digits.indexOf(digit) + 1]!
}

/** What is checked, in that order, each with a fault that only this check finds. */
type Fault = { scheme?: string; header?: object; claims?: Record<string, unknown>; key?: TestKey }
const FAULTS: readonly (readonly [AuthFailure, Fault])[] = [
  ['malformed', { scheme: 'DPoP' }],
  ['type', { header: { typ: 'at+jwt' } }],
  ['algorithm', { header: { alg: 'RS256' } }],
  ['issuer', { claims: { iss: 'alice.example.com' } }],
  ['subject', { claims: { sub: BOB } }],
  ['audience', { claims: { aud: BOB } }],
  ['expired', { claims: { exp: NOW_S - 3600 } }],
  ['issued_at', { claims: { iat: NOW_S + 3600 } }],
  ['method', { claims: { lxm: PROCEDURE } }],
  ['token_id', { claims: { jti: '' } }],
  ['signature', { key: makeKey('ES256K') }],
]
const NO_FAULT = ['nothing', {}] as const

function withFaults(...faults: Fault[]): string {
  const { scheme = 'Bearer', key = alice } = Object.assign({}, ...faults) as Fault
  const changes = Object.assign({}, ...faults.map((fault) => fault.claims))
  const header = Object.assign({}, ...faults.map((fault) => fault.header))
  return `${scheme} ${signToken(key, claims(changes), header)}`
}

describe('TokenAuthenticator', () => {
  const cases = Object.entries(BAD).flatMap(([failure, tokens]) =>
    Object.entries(tokens).map(([what, header]) => ({ failure, what, header })),
  )

  it.each(cases)('refuses $what: $failure', async ({ failure, header }) => {
    failures.length = 0
    expect(await failureOf(authenticator.authenticate(header, QUERY))).toBe(failure)
    expect(failures).toEqual([failure.split(' ')[1]])
  })

  const pairs = FAULTS.flatMap(([first, a], i) =>
    [...FAULTS.slice(i + 1), NO_FAULT].map(([second, b]) => ({ first, second, header: withFaults(a, b) })),
  )

  it.each(pairs)('names the first of two faults: $first before $second', async ({ first, header }) => {
    await expect(authenticator.authenticate(header, QUERY)).rejects.toMatchObject({ reason: first })
  })

  it('accepts service tokens, and has nothing to report', async () => {
    failures.length = 0
    for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
      const header = `${scheme} ${signToken(bob, claims({ iss: BOB }))}`
      expect(await authenticator.authenticate(header, QUERY)).toEqual({ did: BOB })
    }
    expect(failures).toEqual([])
  })

  it('accepts development tokens, for procedures again and again', async () => {
    const token = await signDevToken(SECRET, { did: ALICE, audience: AUDIENCE, ttlSeconds: 3600 })
    for (const nsid of [QUERY, PROCEDURE, PROCEDURE]) {
      expect(await authenticator.authenticate(bearer(token), nsid)).toEqual({ did: ALICE })
    }
  })

  it('reports a second use as such, and a full memory not at all', async () => {
    failures.length = 0
    const forProcedure = () => withClaims({ lxm: PROCEDURE })
    const [first, second, third] = [forProcedure(), forProcedure(), forProcedure()]
    const use = async (header: string) => (await authenticator.authenticate(header, PROCEDURE)).useToken!()
    await use(first)
    await use(second)
    expect(await failureOf(use(first))).toBe('ReplayedToken replayed')
    expect(await failureOf(use(third))).toBe('Overloaded')
    expect(failures).toEqual(['replayed'])
  })
})
