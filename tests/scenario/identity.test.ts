import { randomBytes } from 'node:crypto'
import { Secp256k1Keypair } from '@atproto/crypto'
import type { Nsid } from '@catbird/shared/lexicon'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listenOnLoopback } from '../support/atproto/loopback.ts'
import { type NetworkServer, startNetworkServer } from '../support/atproto/network-server.ts'
import { startPlc, type TestPlc } from '../support/atproto/plc.ts'
import {
  CURVES,
  type Curve,
  PlcAccount,
  startWebAccount,
  TestAccount,
} from '../support/atproto/test-account.ts'
import { XrpcCaller } from '../support/atproto/xrpc-caller.ts'
import { TestClient } from '../support/client.ts'
import { messageFor, newGroupId, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { TEST_SECRET } from '../support/identity.ts'
import { SCENARIO_MODES } from '../support/mls-scenario.ts'
import type { TestEnv } from '../support/server.ts'

const GET: Nsid = 'blue.catbird.mls.getConvos'
const SEND: Nsid = 'blue.catbird.mls.sendMessage'
const CURSOR: Nsid = 'blue.catbird.mls.updateCursor'
const ALL_CURVES = Object.keys(CURVES) as Curve[]

/** A conversation that its creator is alone in, tracked from epoch 0. */
async function startConvo(creator: XrpcCaller): Promise<string> {
  const { id } = await creator.ok('createConvo', { groupId: newGroupId(), cipherSuite: SUITE, epoch: 0 })
  return id
}

/** Calls of this one token. */
function withToken(account: TestAccount, url: string, token: string): XrpcCaller {
  return XrpcCaller.withTokens(account.did, url, async () => token)
}

describe.each(SCENARIO_MODES)('identities, $name', ({ env }) => {
  let plc: TestPlc
  let server: NetworkServer

  beforeAll(async () => {
    plc = await startPlc()
    server = await startNetworkServer(plc, env)
  })
  afterAll(async () => {
    await server?.stop()
    await plc?.stop()
  })

  const direct = (account: TestAccount) => account.direct(server.url, server.did)
  const lookupsOf = (account: TestAccount) => plc.lookups.filter((did) => did === account.did).length

  it.each(ALL_CURVES)('a did:plc account with a key on %s is looked up once and believed', async (curve) => {
    const account = await PlcAccount.create(plc, curve)
    const convoId = await startConvo(direct(account))
    await direct(account).ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    const { conversations } = await direct(account).ok('getConvos')
    expect(conversations.map(({ creator }) => creator)).toEqual([account.did])
    expect(lookupsOf(account)).toBe(1)
  })

  it.each(ALL_CURVES)('a did:web account with a key on %s is believed', async (curve) => {
    const account = await startWebAccount(curve)
    try {
      const convoId = await startConvo(direct(account))
      const { conversations } = await direct(account).ok('getConvos')
      expect(conversations.map(({ id, creator }) => ({ id, creator }))).toEqual([
        { id: convoId, creator: account.did },
      ])
    } finally {
      await account.stop()
    }
  })

  it('nobody speaks for an account with a key that is not in its document', async () => {
    const [account, other] = [await PlcAccount.create(plc), await PlcAccount.create(plc)]
    const impostor = new TestAccount(account.did, other.keypair)
    await direct(account).ok('getConvos')
    for (let i = 0; i < 20; i++) expectError(await direct(impostor).call('getConvos'), 'BadJwtSignature')
    await direct(account).ok('getConvos')
    // The first look, and one more for the first signature that did not fit.
    expect(lookupsOf(account)).toBe(2)
  })

  it.each(ALL_CURVES)('a new key on %s is good at once, and then the old one no more', async (curve) => {
    const before = await PlcAccount.create(plc, curve)
    await direct(before).ok('getConvos')
    const after = await before.rotateKey(curve)
    await startConvo(direct(after))
    await direct(after).ok('getConvos')
    expectError(await direct(before).call('getConvos'), 'BadJwtSignature')
    expectError(
      await direct(before).call('createConvo', { groupId: newGroupId(), cipherSuite: SUITE }),
      'BadJwtSignature',
    )
    await direct(after).ok('getConvos')
    expect(lookupsOf(before)).toBe(2)
  })

  it('an account may change the curve of its key', async () => {
    const before = await PlcAccount.create(plc, 'secp256k1')
    await direct(before).ok('getConvos')
    const after = await before.rotateKey('P-256')
    await direct(after).ok('getConvos')
    expectError(await direct(before).call('getConvos'), 'InvalidToken')
    await direct(after).ok('getConvos')
  })

  it.each<{ what: string; end(account: PlcAccount): Promise<void> }>([
    { what: 'that was given up', end: (account) => account.tombstone() },
    { what: 'whose document has no key any more', end: (account) => account.removeKey() },
  ])('a DID $what is refused: at once when unknown, else once its document is looked at', async ({ end }) => {
    const [unknown, known] = [await PlcAccount.create(plc), await PlcAccount.create(plc)]
    const convoId = await startConvo(direct(known))
    await Promise.all([end(unknown), end(known)])
    expectError(await direct(unknown).call('getConvos'), 'InvalidToken')
    // A signature that does not fit makes the server look.
    const impostor = new TestAccount(known.did, await Secp256k1Keypair.create())
    expectError(await direct(impostor).call('getConvos'), 'InvalidToken')
    expectError(await direct(known).call('getConvos'), 'InvalidToken')
    const message = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
    expectError(await direct(known).call('sendMessage', message), 'InvalidToken')
  })

  it('a DID that nobody registered is refused', async () => {
    const stranger = new TestAccount('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa', await Secp256k1Keypair.create())
    expectError(await direct(stranger).call('getConvos'), 'InvalidToken')
  })

  it('while the directory is away the known are served, and the others told to come again', async () => {
    const ownPlc = await startPlc()
    const ownServer = await startNetworkServer(ownPlc, env)
    try {
      const [known, unknown] = [await PlcAccount.create(ownPlc), await PlcAccount.create(ownPlc)]
      const reach = (account: TestAccount) => account.direct(ownServer.url, ownServer.did)
      await reach(known).ok('getConvos')
      await ownPlc.stop()
      await startConvo(reach(known))
      expectError(await reach(unknown).call('getConvos'), 'IdentityUnavailable')
    } finally {
      await ownServer.stop()
    }
  })

  it('a token may be used again for a query, and once for a procedure', async () => {
    const account = await PlcAccount.create(plc)
    const convoId = await startConvo(direct(account))
    const reader = withToken(account, server.url, await account.token(GET, server.did))
    for (let i = 0; i < 3; i++) await reader.ok('getConvos')
    const sender = withToken(account, server.url, await account.token(SEND, server.did))
    const message = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
    await sender.ok('sendMessage', message)
    expectError(await sender.call('sendMessage', message), 'ReplayedToken')
    const mover = withToken(account, server.url, await account.token(CURSOR, server.did))
    await mover.ok('updateCursor', { convoId, cursor: '1' })
    expectError(await mover.call('updateCursor', { convoId, cursor: '1' }), 'ReplayedToken')
    expect((await direct(account).ok('getEpoch', { convoId })).lastSeq).toBe(1)
  })

  it('a token is known by its issuer and id, however it is written', async () => {
    const [account, other] = [await PlcAccount.create(plc), await PlcAccount.create(plc)]
    const jti = randomBytes(16).toString('hex')
    const create = async (by: TestAccount, exp: number) => {
      const nsid: Nsid = 'blue.catbird.mls.createConvo'
      const caller = withToken(by, server.url, await by.token(nsid, server.did, { jti, exp }))
      return caller.call('createConvo', { groupId: newGroupId(), cipherSuite: SUITE })
    }
    const exp = Math.floor(Date.now() / 1000) + 60
    expect((await create(account, exp)).status).toBe(200)
    expectError(await create(account, exp + 1), 'ReplayedToken')
    expect((await create(other, exp)).status).toBe(200)
  })

  it('of 100 identical requests at once exactly one takes effect', async () => {
    const account = await PlcAccount.create(plc)
    const convoId = await startConvo(direct(account))
    const caller = withToken(account, server.url, await account.token(SEND, server.did))
    const message = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
    const answers = await Promise.all(Array.from({ length: 100 }, () => caller.call('sendMessage', message)))
    const refused = answers.filter(({ status }) => status !== 200)
    expect(refused.length).toBe(99)
    for (const answer of refused) expectError(answer, 'ReplayedToken')
    expect((await direct(account).ok('getEpoch', { convoId })).lastSeq).toBe(1)
  })
})

describe('what a server is told of whom to believe', () => {
  let plc: TestPlc

  beforeAll(async () => {
    plc = await startPlc()
  })
  afterAll(() => plc?.stop())

  /** A server without shards, for one test. */
  async function withServer(env: TestEnv, test: (server: NetworkServer) => Promise<void>): Promise<void> {
    const server = await startNetworkServer(plc, { ENABLE_ACTOR_SYSTEM: 'false', ...env })
    await test(server).finally(() => server.stop())
  }

  it.each<{ where: string; env: TestEnv; isAsked: boolean }>([
    { where: 'that only this machine reaches', env: {}, isAsked: true },
    { where: 'that listens on every address', env: { HOST: '0.0.0.0' }, isAsked: false },
    {
      where: 'behind a public URL',
      env: { HOST: '127.0.0.1', PUBLIC_URL: 'https://mls.example.com' },
      isAsked: false,
    },
    {
      where: 'behind a proxy',
      env: { HOST: '127.0.0.1', TRUSTED_PROXIES: '127.0.0.0/8' },
      isAsked: false,
    },
  ])('whether a server $where looks anything up on this machine: $isAsked', async ({ env, isAsked }) => {
    let requests = 0
    const host = await listenOnLoopback((_, response) => {
      requests++
      response.writeHead(404).end()
    })
    try {
      const account = new TestAccount(`did:web:localhost%3A${host.port}`, await Secp256k1Keypair.create())
      await withServer(env, async ({ url, did }) => {
        expectError(await account.direct(url, did).call('getConvos'), 'InvalidToken')
        expectError(await account.direct(url, did).call('createConvo'), 'InvalidToken')
      })
      expect(requests > 0).toBe(isAsked)
    } finally {
      await host.stop()
    }
  })

  it('a document on this machine is not believed by a server on a public address', async () => {
    const account = await startWebAccount()
    try {
      await withServer({ HOST: '0.0.0.0' }, async ({ url, did }) => {
        expectError(await account.direct(url, did).call('getConvos'), 'InvalidToken')
      })
    } finally {
      await account.stop()
    }
  })

  it('a token needs to name its method, unless ENFORCE_LXM is false; a wrong name is refused anyway', async () => {
    const account = await PlcAccount.create(plc)
    const callers = async ({ url, did }: NetworkServer) => ({
      unnamed: withToken(account, url, await account.token(GET, did, { lxm: undefined })),
      other: withToken(account, url, await account.token(SEND, did)),
    })
    await withServer({}, async (server) => {
      const { unnamed, other } = await callers(server)
      for (const caller of [unnamed, other])
        expectError(await caller.call('getConvos'), 'BadJwtLexiconMethod')
    })
    await withServer({ ENFORCE_LXM: 'false' }, async (server) => {
      const { unnamed, other } = await callers(server)
      await unnamed.ok('getConvos')
      expectError(await other.call('getConvos'), 'BadJwtLexiconMethod')
      await unnamed.ok('createConvo', { groupId: newGroupId(), cipherSuite: SUITE })
      const again = await unnamed.call('createConvo', { groupId: newGroupId(), cipherSuite: SUITE })
      expectError(again, 'ReplayedToken')
    })
  })

  it('a token lives no longer than MAX_TOKEN_LIFETIME_S', async () => {
    const account = await PlcAccount.create(plc)
    const get = async ({ url, did }: NetworkServer, lifetimeS: number) => {
      const exp = Math.floor(Date.now() / 1000) + lifetimeS
      return withToken(account, url, await account.token(GET, did, { exp })).call('getConvos')
    }
    await withServer({}, async (server) => expect((await get(server, 200)).status).toBe(200))
    await withServer({ MAX_TOKEN_LIFETIME_S: '60' }, async (server) => {
      expect((await get(server, 60)).status).toBe(200)
      expectError(await get(server, 200), 'InvalidToken', { maxLifetimeS: 60 })
    })
  })

  it('a development token is good only where there is a secret for it', async () => {
    const developer = ({ url, did }: NetworkServer) =>
      new TestClient(url, 'did:plc:developer', { secret: TEST_SECRET, audience: did })
    await withServer({}, async (server) => {
      expectError(await developer(server).call('getConvos'), 'InvalidToken')
    })
    await withServer({ JWT_SECRET: TEST_SECRET }, async (server) => {
      await developer(server).ok('getConvos')
    })
  })
})
