import { createHmac } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { SUITE } from '../support/convo.ts'
import type { ContractError } from '../support/error-table.ts'
import { expectError } from '../support/expect-error.ts'
import { openRequest, sendRaw } from '../support/http.ts'
import { TEST_AUDIENCE, TEST_SECRET } from '../support/identity.ts'
import { MODES } from '../support/server.ts'
import { openReader } from '../support/streams/stream-reader.ts'
import { useServer } from '../support/use-server.ts'

const NSID = 'blue.catbird.mls.getConvos'
const STREAMS = [
  { kind: 'sse', lxm: 'blue.catbird.mls.streamConvoEvents', other: 'blue.catbird.mls.subscribeConvoEvents' },
  {
    kind: 'socket',
    lxm: 'blue.catbird.mls.subscribeConvoEvents',
    other: 'blue.catbird.mls.streamConvoEvents',
  },
] as const
const now = () => Math.floor(Date.now() / 1000)
const claims = () => ({ iss: 'did:plc:alice', aud: TEST_AUDIENCE, exp: now() + 300, iat: now() })
const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

function token(payload: object, { secret = TEST_SECRET, alg = 'HS256' } = {}): string {
  const text = `${encode({ alg, typ: 'JWT' })}.${encode(payload)}`
  if (alg === 'none') return `${text}.`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

describe('authentication', () => {
  const { server } = useServer(MODES[0].env)
  const get = (headers: Record<string, string>) =>
    sendRaw(`${server().url}/xrpc/${NSID}`, { method: 'GET', headers })
  const refuses = async (authorization: string | undefined, name: ContractError) => {
    const answer = await get(authorization === undefined ? {} : { Authorization: authorization })
    expectError(answer, name)
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
  }

  it('accepts a token for this service, for any method or for the one called', async () => {
    for (const payload of [claims(), { ...claims(), lxm: NSID }]) {
      const answer = await get({ Authorization: `Bearer ${token(payload)}` })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
    const lowerCase = await get({ Authorization: `bearer ${token(claims())}` })
    expect(lowerCase.status).toBe(200)
  })

  it('requires a token', () => refuses(undefined, 'AuthenticationRequired'))

  it.each([
    'Bearer',
    'Bearer ',
    'Bearer x',
    'Bearer a.b.c',
    'Basic YWxpY2U6eA==',
    `Bearer ${'x'.repeat(8000)}`,
    'Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA extra',
  ])('refuses %s', (header) => refuses(header, 'InvalidToken'))

  it('names what is wrong with a token', async () => {
    const bad: [ContractError, string][] = [
      ['ExpiredToken', token({ ...claims(), exp: now() - 120 })],
      ['BadJwtAudience', token({ ...claims(), aud: 'did:web:other.example.com' })],
      ['BadJwtLexiconMethod', token({ ...claims(), lxm: 'blue.catbird.mls.sendMessage' })],
      ['BadJwtSignature', token(claims(), { secret: 'another secret of at least 32 bytes' })],
      ['InvalidToken', token(claims(), { alg: 'none' })],
      ['InvalidToken', token(claims(), { alg: 'HS512' })],
      ['InvalidToken', token({ ...claims(), iss: undefined })],
      ['InvalidToken', token({ ...claims(), iss: 'alice' })],
      ['InvalidToken', token({ ...claims(), exp: undefined })],
      ['InvalidToken', token({ ...claims(), exp: now() + 25 * 3600 })],
    ]
    for (const [name, text] of bad) await refuses(`Bearer ${text}`, name)
  })

  it('refuses a token whose claims were changed after signing', async () => {
    const [head, , signature] = token(claims()).split('.')
    const forged = `${head}.${encode({ ...claims(), iss: 'did:plc:mallory' })}.${signature}`
    await refuses(`Bearer ${forged}`, 'BadJwtSignature')
  })

  it.each([
    { framing: 'with its length', name: 'Content-Length', value: 13_000_000 },
    { framing: 'in chunks', name: 'Transfer-Encoding', value: 'chunked' },
  ])(
    'comes before the body is read: a large one $framing is refused while none of it was sent',
    async ({ name, value }) => {
      const { answer, outgoing } = openRequest(`${server().url}/xrpc/blue.catbird.mls.sendMessage`, {
        headers: { [name]: value, Authorization: 'Bearer a.b.c', 'Content-Type': 'application/json' },
        end: false,
      })
      expectError(await answer, 'InvalidToken')
      outgoing.destroy()
    },
  )

  it('comes before validation: a bad body with a bad token is a bad token', async () => {
    const answer = await sendRaw(`${server().url}/xrpc/blue.catbird.mls.createConvo`, {
      headers: { 'Content-Type': 'text/plain' },
      body: JSON.stringify({ cipherSuite: SUITE }),
    })
    expectError(answer, 'AuthenticationRequired')
  })
})

describe.each(STREAMS)('authentication of streams over $kind', ({ kind, lxm, other }) => {
  const { server } = useServer(MODES[2].env)
  const open = async (text?: string) => {
    const reader = await openReader(kind, { url: server().url, ...(text && { token: text }) })
    onTestFinished(() => reader.close())
    return reader
  }

  it('accepts a token for this service, for any method or for this one', async () => {
    for (const payload of [claims(), { ...claims(), lxm }]) {
      await (await open(token(payload))).until('caughtUp')
    }
  })

  it('names what is wrong with a token, in JSON', async () => {
    const bad: [ContractError, string | undefined][] = [
      ['AuthenticationRequired', undefined],
      ['InvalidToken', 'a.b.c'],
      ['InvalidToken', token(claims(), { alg: 'none' })],
      ['ExpiredToken', token({ ...claims(), exp: now() - 120 })],
      ['BadJwtAudience', token({ ...claims(), aud: 'did:web:other.example.com' })],
      ['BadJwtLexiconMethod', token({ ...claims(), lxm: NSID })],
      ['BadJwtLexiconMethod', token({ ...claims(), lxm: other })],
      ['BadJwtSignature', token(claims(), { secret: 'another secret of at least 32 bytes' })],
    ]
    for (const [name, text] of bad) expectError(await open(text).catch((error) => error), name)
  })
})
