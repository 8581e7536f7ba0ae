import { randomBytes } from 'node:crypto'
import { signDevToken } from '@catbird/api/auth/dev-token'
import type { Nsid } from '@catbird/shared/lexicon'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type NetworkServer, startNetworkServer } from '../support/atproto/network-server.ts'
import { startPlc, type TestPlc } from '../support/atproto/plc.ts'
import { PlcAccount } from '../support/atproto/test-account.ts'
import { XrpcCaller } from '../support/atproto/xrpc-caller.ts'
import { wire } from '../support/client.ts'
import { createConvo, messageFor, newGroupId, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { type RawAnswer, sendRaw } from '../support/http.ts'
import { TEST_AUDIENCE, TEST_SECRET } from '../support/identity.ts'
import { Scrape } from '../support/scrape.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

const KIB = 1024
const MIB = KIB * KIB
const METHOD: Nsid = 'blue.catbird.mls.getConvos'
const HEALTH = ['/health', '/health/live', '/health/ready', '/xrpc/_health']
const PAGES = ['/', '/.well-known/did.json']
const LIMITS = {
  RATE_LIMIT_ENABLED: 'true',
  RATE_LIMIT_READ: '8',
  RATE_LIMIT_CREATE: '2',
  RATE_LIMIT_MEMBERSHIP: '6',
  RATE_LIMIT_MEMBERSHIP_PER_CONVO: '3',
  RATE_LIMIT_BYTES: String(2 * MIB),
  RATE_LIMIT_STORED_BYTES: String(MIB),
  RATE_LIMIT_CLAIMS: '5',
  RATE_LIMIT_CLAIMS_PER_TARGET: '2',
}

const FAILED_AUTH = { ...MODES[2].env, RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_FAILED_AUTH: '3' }

const newAddress = () => `2001:db8:${randomBytes(2).toString('hex')}:${randomBytes(2).toString('hex')}::1`

/** What costs the server the check of a signature. */
function forgedToken(): Promise<string> {
  const claims = { did: newDid('mallory'), audience: TEST_AUDIENCE, ttlSeconds: 60 }
  return signDevToken('a secret that the server does not know', claims)
}

/** @param address whom the request says that it is passed on for */
function getConvos(url: string, token: string, address?: string): Promise<RawAnswer> {
  const headers: Record<string, string> = { Authorization: `Bearer ${token}` }
  if (address !== undefined) headers['X-Forwarded-For'] = address
  return sendRaw(`${url}/xrpc/${METHOD}`, { method: 'GET', headers })
}

/** The headers are those of this limit, within its window; answers the seconds until it ends. */
function expectLimit(
  { headers }: { headers: Headers },
  limit: number,
  remaining: number,
  windowS = 60,
): number {
  const resetS = Number(headers.get('ratelimit-reset'))
  expect(headers.get('ratelimit-limit')).toBe(String(limit))
  expect(headers.get('ratelimit-remaining')).toBe(String(remaining))
  expect(headers.get('ratelimit-policy')).toBe(`${limit};w=${windowS}`)
  expect(Number.isInteger(resetS) && resetS >= 1 && resetS <= windowS, `reset in ${resetS}`).toBe(true)
  return resetS
}

/** Refused by this limit, with the same time to come back wherever it stands. */
function expectOver(answer: RawAnswer, limit: number, remaining = 0, windowS = 60): void {
  const resetS = expectLimit(answer, limit, remaining, windowS)
  expectError(answer, 'RateLimitExceeded', { limit, windowS, retryAfterS: resetS })
  expect(answer.headers.get('retry-after')).toBe(String(resetS))
}

describe('rate limits', () => {
  const { people, server } = useServer({ ...MODES[0].env, ...LIMITS })

  it('are told in every reply to who is authenticated, refusals too', async () => {
    const [alice] = people('alice')
    expectLimit(await alice.call('getConvos'), 8, 7)
    expectLimit(await alice.call('getConvos', { cursor: 'no cursor' }), 8, 6)
    expectLimit(await alice.call('getConvos', { limit: 'many' }), 8, 5)
    const unknown = await alice.call('getEpoch', { convoId: newGroupId() })
    expectError(unknown, 'ConvoNotFound')
    expectLimit(unknown, 8, 7)
    const headers = { Authorization: `Bearer ${await alice.token()}`, 'Content-Type': 'text/plain' }
    const notJson = await sendRaw(`${server().url}/xrpc/blue.catbird.mls.createConvo`, { headers, body: 'x' })
    expectError(notJson, 'UnsupportedMediaType')
    expectLimit(notJson, 2, 1)
  })

  it('let the limit through, refuse the next, and know nothing of other callers and methods', async () => {
    const [alice, bob] = people('alice', 'bob')
    const create = () => alice.call('createConvo', { groupId: newGroupId(), cipherSuite: SUITE })
    const drops = async () => {
      const scrape = await Scrape.of(server().url)
      return scrape.value('rate_limit_drops_total', { endpoint: 'blue.catbird.mls.createConvo' })
    }
    const before = await drops()
    expectLimit(await create(), 2, 1)
    expectLimit(await create(), 2, 0)
    expectOver(await create(), 2)
    expectOver(await create(), 2)
    expect(await drops()).toBe(before + 2)
    await createConvo(bob)
    expectLimit(await alice.call('getConvos'), 8, 7)
  })

  it('refuse before the body is read', async () => {
    const [alice] = people('alice')
    await createConvo(alice)
    await createConvo(alice)
    const headers = { Authorization: `Bearer ${await alice.token()}`, 'Content-Type': 'text/plain' }
    const answer = await sendRaw(`${server().url}/xrpc/blue.catbird.mls.createConvo`, { headers, body: 'x' })
    expectError(answer, 'RateLimitExceeded', { limit: 2 })
  })

  it('hold changes of members for each conversation', async () => {
    const [alice] = people('alice')
    const [first, second] = [await createConvo(alice), await createConvo(alice)]
    const add = (convoId: string) => alice.call('addMembers', { convoId, didList: [newDid('new')] })
    for (const remaining of [2, 1, 0]) expectLimit(await add(first), 3, remaining)
    expectOver(await add(first), 3)
    expectLimit(await add(second), 6, 1)
    expect((await alice.call('leaveConvo', { convoId: first })).status).toBe(200)
    expect((await add(second)).status).toBe(200)
    expectOver(await add(second), 6)
  })

  it('hold the bytes of bodies, whatever is in them', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const send = (padding: number) =>
      alice.call('sendMessage', {
        convoId,
        epoch: 0,
        ciphertext: messageFor(convoId, 0),
        padding: 'x'.repeat(padding),
      })
    expect((await send(1.5 * MIB)).status).toBe(200)
    const over = await send(MIB)
    expectError(over, 'RateLimitExceeded', { limit: 2 * MIB, windowS: 60 })
    expect(Number(over.headers.get('ratelimit-remaining'))).toBeGreaterThan(256 * KIB)
    expect((await send(256 * KIB)).status).toBe(200)
  })

  it('hold the bytes of bodies that do not tell their length', async () => {
    const [alice] = people('alice')
    const url = `${server().url}/xrpc/blue.catbird.mls.sendMessage`
    const headers = {
      Authorization: `Bearer ${await alice.token()}`,
      'Content-Type': 'application/json',
      'Transfer-Encoding': 'chunked',
    }
    const body = JSON.stringify({ padding: 'x'.repeat(1.5 * MIB) })
    expectError(await sendRaw(url, { headers, body }), 'InvalidRequest')
    expectError(await sendRaw(url, { headers, body }), 'RateLimitExceeded', { limit: 2 * MIB })
  })

  it('hold the bytes stored in a day, without those of refused messages', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const send = (size: number, epoch = 0) =>
      alice.call('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch, size) })
    expect((await send(600 * KIB)).status).toBe(200)
    expectError(await send(300 * KIB, 3), 'EpochMismatch')
    expectLimit(await send(400 * KIB), MIB, 24 * KIB, 86_400)
    expectOver(await send(100 * KIB), MIB, 24 * KIB, 86_400)
  })

  it('hold claims of key packages for each caller, and for each target', async () => {
    const [alice, bob] = people('alice', 'bob')
    const [carol, dave] = [newDid('carol'), newDid('dave')]
    expectLimit(await alice.call('getKeyPackages', { dids: [carol] }), 2, 1, 3600)
    expectLimit(await alice.call('getKeyPackages', { dids: [carol] }), 2, 0, 3600)
    expectOver(await alice.call('getKeyPackages', { dids: [dave, carol] }), 2, 0, 3600)
    expectLimit(await bob.call('getKeyPackages', { dids: [carol] }), 2, 1, 3600)
    const others = ['e', 'f', 'g', 'h'].map(newDid)
    expectOver(await alice.call('getKeyPackages', { dids: others }), 5, 3, 3600)
    expectLimit(await alice.call('getKeyPackages', { dids: others.slice(1) }), 5, 0, 3600)
  })
})

describe('the limit of failed authentications', () => {
  const { people, server } = useServer({ ...FAILED_AUTH, TRUSTED_PROXIES: '127.0.0.0/8,::1' })
  const get = (address: string, token: string) => getConvos(server().url, token, address)

  it('refuses an address that is over, also with a good token, and no other address', async () => {
    const [alice] = people('alice')
    const [address, other] = [newAddress(), newAddress()]
    for (const remaining of [2, 1, 0]) {
      const answer = await get(address, await forgedToken())
      expectError(answer, 'BadJwtSignature')
      expectLimit(answer, 3, remaining)
    }
    expectOver(await get(address, await alice.token()), 3)
    expect((await get(other, await alice.token())).status).toBe(200)
  })

  it('counts nothing but failures', async () => {
    const [alice] = people('alice')
    const address = newAddress()
    for (let i = 0; i < 10; i++) {
      const answer = await get(address, await alice.token())
      expect(answer.status).toBe(200)
      expectLimit(answer, 500, 499 - i)
    }
    expectLimit(await get(address, await forgedToken()), 3, 2)
  })

  it('does not count tokens that are refused for what they say', async () => {
    const [alice] = people('alice')
    const address = newAddress()
    const claims = { did: alice.did, audience: TEST_AUDIENCE, ttlSeconds: 60 }
    const refused = [
      ['InvalidToken', 'a.b.c'],
      ['ExpiredToken', await signDevToken(TEST_SECRET, { ...claims, ttlSeconds: -3600 })],
      ['BadJwtAudience', await signDevToken(TEST_SECRET, { ...claims, audience: 'did:web:other.test' })],
      ['BadJwtLexiconMethod', await signDevToken(TEST_SECRET, { ...claims, lxm: `${METHOD}s` })],
    ] as const
    for (const [error, token] of [...refused, ...refused]) {
      const answer = await get(address, token)
      expectError(answer, error)
      expect(answer.headers.get('ratelimit-limit')).toBeNull()
    }
    expectLimit(await get(address, await forgedToken()), 3, 2)
  })
})

describe('the limit of failed authentications without trusted proxies', () => {
  const { people, server } = useServer(FAILED_AUTH)

  /** Fails until whoever connects is over the limit, saying each time that it asks for somebody else. */
  async function failTooOften(): Promise<RawAnswer> {
    for (let i = 0; i < 3; i++) await getConvos(server().url, await forgedToken(), newAddress())
    return getConvos(server().url, await forgedToken(), newAddress())
  }

  it('does not believe X-Forwarded-For', async () => {
    expectOver(await failTooOften(), 3)
  })

  it('is not for health, metrics and pages', async () => {
    const [alice] = people('alice')
    await failTooOften()
    expectOver(await getConvos(server().url, await alice.token()), 3)
    for (const path of [...HEALTH, '/metrics', ...PAGES]) {
      const { status, headers } = await fetch(`${server().url}${path}`)
      expect({ path, status }).toEqual({ path, status: 200 })
      expect([...headers.keys()].filter((name) => name.startsWith('ratelimit'))).toEqual([])
    }
    expectOver(await getConvos(server().url, await alice.token()), 3)
  })
})

describe('the limit of a caller with service tokens', () => {
  let plc: TestPlc
  let server: NetworkServer

  beforeAll(async () => {
    plc = await startPlc()
    const limits = { RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_CREATE: '1' }
    // One token for any method: so it can be tried where the limit is not reached.
    server = await startNetworkServer(plc, { ...MODES[2].env, ...limits, ENFORCE_LXM: 'false' })
  })
  afterAll(async () => {
    await server?.stop()
    await plc?.stop()
  })

  it('refuses without using the token up', async () => {
    const alice = await PlcAccount.create(plc)
    const token = await alice.token(METHOD, server.did, { lxm: undefined })
    const caller = XrpcCaller.withTokens(alice.did, server.url, async () => token)
    const { id: convoId } = await alice
      .direct(server.url, server.did)
      .ok('createConvo', { groupId: newGroupId(), cipherSuite: SUITE, epoch: 0 })
    expectOver(await caller.call('createConvo', { groupId: newGroupId(), cipherSuite: SUITE }), 1)
    const message = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
    await caller.ok('sendMessage', message)
    expectError(await caller.call('sendMessage', message), 'ReplayedToken')
  })
})

describe('rate limits that are off', () => {
  const { people } = useServer({ ...MODES[2].env, ...LIMITS, RATE_LIMIT_ENABLED: 'false' })

  it('neither refuse nor say anything', async () => {
    const [alice] = people('alice')
    for (let i = 0; i < 5; i++) {
      const input = { groupId: newGroupId(), cipherSuite: SUITE, padding: wire(new Uint8Array(MIB)) }
      const { status, headers } = await alice.call('createConvo', input)
      expect(status).toBe(200)
      expect(headers.get('ratelimit-limit')).toBeNull()
    }
  })
})
