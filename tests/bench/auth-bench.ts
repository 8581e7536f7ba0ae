import { randomUUID } from 'node:crypto'
import { type Keypair, P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { verifyJwt } from '@atproto/xrpc-server'
import { ReplayMemory } from '@catbird/api/auth/replay-memory'
import { ServiceAuthenticator } from '@catbird/api/auth/service-authenticator'
import { signingKeyOf } from '@catbird/api/auth/signing-key'
import { systemClock } from '@catbird/shared/clock'
import { Hono } from 'hono'
import { TEST_AUDIENCE } from '../support/identity.ts'

const NSID = 'blue.catbird.mls.sendMessage'
const ISSUER = 'did:plc:alice23456alice23456alic'

/** CPU in µs: of authentication alone, of an empty route with it and without it, and of the library's. */
export type AuthCost = {
  algorithm: 'ES256K' | 'ES256'
  ours: number
  routeWithAuth: number
  routeWithoutAuth: number
  xrpcServer: number
}

/**
 * CPU per procedure request, in µs, of everything that authenticates one: parsing, claims, signature, replay memory;
 * a fresh token each time, the key known. Beside it what the library of AT Protocol servers takes for the same
 * tokens without a replay check.
 */
export async function measureAuth(tokens: number): Promise<AuthCost[]> {
  const costs: AuthCost[] = []
  for (const keypair of [await Secp256k1Keypair.create(), await P256Keypair.create()]) {
    const headers = await signTokens(keypair, tokens)
    const half = headers.length / 2
    const ours = await measureOurs(keypair, headers.slice(0, half))
    const routeWithAuth = await measureRoute(headers.slice(half), createAuthenticator(keypair))
    const routeWithoutAuth = await measureRoute(headers.slice(half), undefined)
    // A tenth is enough: it takes milliseconds for each.
    const xrpcServer = await measureLibrary(keypair, headers.slice(0, Math.ceil(tokens / 10)))
    const algorithm = keypair.jwtAlg as AuthCost['algorithm']
    costs.push({ algorithm, ours, routeWithAuth, routeWithoutAuth, xrpcServer })
  }
  return costs
}

function createAuthenticator(keypair: Keypair): ServiceAuthenticator {
  const key = signingKeyOf(keypair.did().slice('did:key:'.length))
  return new ServiceAuthenticator({
    audiences: [TEST_AUDIENCE],
    enforceLxm: true,
    maxLifetimeS: 300,
    keys: { find: async () => key, refresh: async () => undefined },
    replays: new ReplayMemory({ key: Buffer.alloc(32, 7), clock: systemClock }),
    clock: systemClock,
    isProcedure: () => true,
  })
}

function measureOurs(keypair: Keypair, headers: string[]): Promise<number> {
  const authenticator = createAuthenticator(keypair)
  return cpuPerItem(headers, (header) => authenticator.authenticate(header, NSID))
}

/** An empty route without a socket, so that nothing else costs anything. */
function measureRoute(headers: string[], authenticator: ServiceAuthenticator | undefined): Promise<number> {
  const app = new Hono()
  app.post('/', async (c) => {
    await authenticator?.authenticate(c.req.header('authorization'), NSID)
    return c.body(null)
  })
  return cpuPerItem(headers, async (authorization) => {
    const { status } = await app.request('/', { method: 'POST', headers: { authorization } })
    if (status !== 200) throw new Error(`answered ${status}`)
  })
}

async function measureLibrary(keypair: Keypair, headers: string[]): Promise<number> {
  const verify = (header: string) =>
    verifyJwt(header.slice('Bearer '.length), TEST_AUDIENCE, NSID, async () => keypair.did())
  return cpuPerItem(headers, verify)
}

async function cpuPerItem(items: string[], run: (item: string) => Promise<unknown>): Promise<number> {
  const warmUp = Math.floor(items.length / 5)
  for (const item of items.slice(0, warmUp)) await run(item)
  const before = process.cpuUsage()
  for (const item of items.slice(warmUp)) await run(item)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / (items.length - warmUp)
}

async function signTokens(keypair: Keypair, count: number): Promise<string[]> {
  const iat = Math.floor(Date.now() / 1000)
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const header = encode({ typ: 'JWT', alg: keypair.jwtAlg })
  return Promise.all(
    Array.from({ length: count }, async () => {
      const claims = { iat, iss: ISSUER, aud: TEST_AUDIENCE, exp: iat + 240, lxm: NSID, jti: randomUUID() }
      const signed = `${header}.${encode(claims)}`
      const signature = await keypair.sign(Buffer.from(signed))
      return `Bearer ${signed}.${Buffer.from(signature).toString('base64url')}`
    }),
  )
}
