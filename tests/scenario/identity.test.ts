import { randomBytes } from 'node:crypto'
import { Secp256k1Keypair } from '@atproto/crypto'
import type { Nsid } from '@catbird/shared/lexicon'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type NetworkServer, networkEnv, startNetworkServer } from '../support/atproto/network-server.ts'
import { startPlc, type TestPlc } from '../support/atproto/plc.ts'
import { createServiceDid } from '../support/atproto/service-did.ts'
import {
  CURVES,
  type Curve,
  PlcAccount,
  startWebAccount,
  TestAccount,
} from '../support/atproto/test-account.ts'
import { XrpcCaller } from '../support/atproto/xrpc-caller.ts'
import { messageFor, newGroupId, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { SCENARIO_MODES } from '../support/mls-scenario.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { ServerProcess } from '../support/server-process.ts'

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
    expectOneEffect(answers)
    expect((await direct(account).ok('getEpoch', { convoId })).lastSeq).toBe(1)
  })
})

const PAIRS = [
  { name: 'actors and actors', envs: [{ SHARD_COUNT: '1' }, { SHARD_COUNT: '2' }] },
  { name: 'actors and direct', envs: [{ SHARD_COUNT: '1' }, { ENABLE_ACTOR_SYSTEM: 'false' }] },
  {
    name: 'direct and direct',
    envs: [{ ENABLE_ACTOR_SYSTEM: 'false' }, { ENABLE_ACTOR_SYSTEM: 'false' }],
  },
] as const

describe.each(PAIRS)('one token at two processes on one database, $name', ({ envs }) => {
  let plc: TestPlc
  let serviceDid: string
  let database: TestDatabase
  let servers: ServerProcess[] = []

  beforeAll(async () => {
    plc = await startPlc()
    serviceDid = (await createServiceDid(plc.client)).did
    database = await createTestDatabase()
    servers = await Promise.all(
      envs.map((env) => ServerProcess.start(database.url, { ...networkEnv(plc, serviceDid), ...env })),
    )
  })
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.end()))
    await database?.drop()
    await plc?.stop()
  })

  it('is good at one of them only, one after the other', async () => {
    const account = await PlcAccount.create(plc)
    const convoId = await startConvo(account.direct(servers[0]!.url, serviceDid))
    const message = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
    for (const [name, nsid, input] of [
      ['sendMessage', SEND, message],
      ['updateCursor', CURSOR, { convoId, cursor: '1' }],
    ] as const) {
      const token = await account.token(nsid, serviceDid)
      const [first, second] = servers.map(({ url }) => withToken(account, url, token))
      expect((await first!.call(name, input)).status).toBe(200)
      expectError(await second!.call(name, input), 'ReplayedToken')
    }
  })

  it('of 100 identical requests at both at once exactly one takes effect, again and again', async () => {
    const account = await PlcAccount.create(plc)
    const convoId = await startConvo(account.direct(servers[0]!.url, serviceDid))
    for (let round = 1; round <= 10; round++) {
      const token = await account.token(SEND, serviceDid)
      const callers = servers.map(({ url }) => withToken(account, url, token))
      const message = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) => callers[i % 2]!.call('sendMessage', message)),
      )
      expectOneEffect(answers)
      const { lastSeq } = await account.direct(servers[0]!.url, serviceDid).ok('getEpoch', { convoId })
      expect(lastSeq).toBe(round)
    }
  })
})

function expectOneEffect(answers: Awaited<ReturnType<XrpcCaller['call']>>[]): void {
  const refused = answers.filter(({ status }) => status !== 200)
  expect(refused.length).toBe(answers.length - 1)
  for (const answer of refused) expectError(answer, 'ReplayedToken')
}
