import type { Nsid, ProcedureNsid } from '@catbird/shared/lexicon'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { networkEnv } from '../support/atproto/network-server.ts'
import { startPlc, type TestPlc } from '../support/atproto/plc.ts'
import { createServiceDid } from '../support/atproto/service-did.ts'
import { PlcAccount, type TestAccount } from '../support/atproto/test-account.ts'
import { XrpcCaller } from '../support/atproto/xrpc-caller.ts'
import { commitFor, messageFor, newGroupId, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { base64, newDevice, welcomeFor } from '../support/real-group.ts'
import { ServerProcess } from '../support/server-process.ts'
import { newDid } from '../support/use-server.ts'

const SEND: Nsid = 'blue.catbird.mls.sendMessage'

const PAIRS = [
  { name: 'actors and actors', envs: [{ SHARD_COUNT: '1' }, { SHARD_COUNT: '2' }] },
  { name: 'actors and direct', envs: [{ SHARD_COUNT: '1' }, { ENABLE_ACTOR_SYSTEM: 'false' }] },
  {
    name: 'direct and direct',
    envs: [{ ENABLE_ACTOR_SYSTEM: 'false' }, { ENABLE_ACTOR_SYSTEM: 'false' }],
  },
] as const

type Procedure = ProcedureNsid extends `blue.catbird.mls.${infer N}` ? N : never
type Input = Record<string, unknown>

/**
 * For each procedure two inputs, both good at the time of the call and one after the other: only the token can be
 * why the second is refused.
 */
const INPUTS: { [N in Procedure]: (caller: XrpcCaller, other: XrpcCaller) => Promise<[Input, Input]> } = {
  async createConvo() {
    const create = () => ({ groupId: newGroupId(), cipherSuite: SUITE })
    return [create(), create()]
  },
  async addMembers(caller) {
    const convoId = await startConvo(caller)
    const add = (epoch: number) => ({ convoId, didList: [newDid('new')], commit: commitFor(convoId, epoch) })
    return [add(0), add(1)]
  },
  async leaveConvo(caller, { did }) {
    const members = { initialMembers: [did] }
    return [{ convoId: await startConvo(caller, members) }, { convoId: await startConvo(caller, members) }]
  },
  async sendMessage(caller) {
    const convoId = await startConvo(caller)
    const message = () => ({ convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    return [message(), message()]
  },
  async publishKeyPackage({ did }) {
    const [phone, laptop] = [await newDevice(`${did}#phone`), await newDevice(`${did}#laptop`)]
    const publish = (bytes: Uint8Array) => ({ keyPackage: base64(bytes), cipherSuite: SUITE })
    return [publish(phone.bytes), publish(laptop.bytes)]
  },
  async confirmWelcome(caller, other) {
    const [phone, laptop] = [await newDevice(`${caller.did}#phone`), await newDevice(`${caller.did}#laptop`)]
    for (const { bytes } of [phone, laptop]) {
      await caller.ok('publishKeyPackage', { keyPackage: base64(bytes), cipherSuite: SUITE })
    }
    const convoId = await startConvo(other, {
      initialMembers: [caller.did],
      welcomeMessage: base64(await welcomeFor(phone, laptop)),
      keyPackageHashes: [phone, laptop].map(({ hash }) => ({ did: caller.did, hash })),
    })
    const confirm = (keyPackageHash: string) => ({ convoId, success: true, keyPackageHash })
    return [confirm(phone.hash), confirm(laptop.hash)]
  },
  async updateCursor(caller) {
    const convoId = await startConvo(caller)
    for (let i = 0; i < 2; i++) {
      await caller.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    }
    return [
      { convoId, cursor: '1' },
      { convoId, cursor: '2' },
    ]
  },
  async sendEphemeral(caller) {
    const convoId = await startConvo(caller)
    const ephemeral = () => ({ convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    return [ephemeral(), ephemeral()]
  },
  async getSubscriptionTicket() {
    return [{}, {}]
  },
}

/** A conversation tracked from epoch 0. */
async function startConvo(creator: XrpcCaller, input: Input = {}): Promise<string> {
  const create = { groupId: newGroupId(), cipherSuite: SUITE, epoch: 0, ...input }
  return (await creator.ok('createConvo', create)).id
}

/** Calls of this one token. */
function withToken(account: TestAccount, url: string, token: string): XrpcCaller {
  return XrpcCaller.withTokens(account.did, url, async () => token)
}

describe.each(PAIRS)('one token at two processes on one database, $name', ({ envs }) => {
  let plc: TestPlc
  let serviceDid: string
  let database: TestDatabase
  let sql: ReturnType<typeof openSql>
  let servers: ServerProcess[] = []

  beforeAll(async () => {
    plc = await startPlc()
    serviceDid = (await createServiceDid(plc.client)).did
    database = await createTestDatabase()
    sql = openSql(database.url)
    servers = await Promise.all(
      envs.map((env) => ServerProcess.start(database.url, { ...networkEnv(plc, serviceDid), ...env })),
    )
  })
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.end()))
    await sql?.end()
    await database?.drop()
    await plc?.stop()
  })

  const direct = (account: TestAccount) => account.direct(servers[0]!.url, serviceDid)
  const withTokenAtEach = async (account: TestAccount, nsid: Nsid) => {
    const token = await account.token(nsid, serviceDid)
    return servers.map(({ url }) => withToken(account, url, token)) as [XrpcCaller, XrpcCaller]
  }

  /** Every row that a procedure could have written. */
  async function stored(): Promise<unknown> {
    const tables = [
      'conversations',
      'log',
      'members',
      'welcomes',
      'welcome_bytes',
      'key_packages',
      'idempotency',
      'cursors',
      'used_tokens',
    ]
    const rowsOf = (table: string) => sql`select t::text as row from ${sql(table)} t order by 1`
    return Object.fromEntries(
      await Promise.all(tables.map(async (table) => [table, (await rowsOf(table)).map(({ row }) => row)])),
    )
  }

  it.each(Object.keys(INPUTS) as Procedure[])('is good at one of them only for %s', async (name) => {
    const [account, other] = [await PlcAccount.create(plc), await PlcAccount.create(plc)]
    const [input, otherInput] = await INPUTS[name](direct(account), direct(other))
    const [first, second] = await withTokenAtEach(account, `blue.catbird.mls.${name}`)
    const before = await stored()
    await first.ok(name, input)
    const after = await stored()
    expect(after).not.toEqual(before)
    expectError(await second.call(name, otherInput), 'ReplayedToken')
    expect(await stored()).toEqual(after)
    // Nothing was wrong with it but the token.
    await (await withTokenAtEach(account, `blue.catbird.mls.${name}`))[1].ok(name, otherInput)
  })

  it('of 100 identical requests at both at once exactly one takes effect, again and again', async () => {
    const account = await PlcAccount.create(plc)
    const convoId = await startConvo(direct(account))
    for (let round = 1; round <= 10; round++) {
      const callers = await withTokenAtEach(account, SEND)
      const message = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) => callers[i % 2]!.call('sendMessage', message)),
      )
      expectOneEffect(answers)
      expect(await lastSeqOf(account, convoId)).toBe(round)
    }
  })

  it('of a message to one conversation and one to another at once exactly one is stored', async () => {
    const account = await PlcAccount.create(plc)
    const convoIds = [await startConvo(direct(account)), await startConvo(direct(account))]
    for (let round = 1; round <= 10; round++) {
      const callers = await withTokenAtEach(account, SEND)
      const answers = await Promise.all(
        callers.map((caller, i) => {
          const convoId = convoIds[i]!
          return caller.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
        }),
      )
      expectOneEffect(answers)
      const [one, two] = [await lastSeqOf(account, convoIds[0]!), await lastSeqOf(account, convoIds[1]!)]
      expect(one + two).toBe(round)
    }
  })

  async function lastSeqOf(account: TestAccount, convoId: string): Promise<number> {
    return (await direct(account).ok('getEpoch', { convoId })).lastSeq!
  }
})

function expectOneEffect(answers: Awaited<ReturnType<XrpcCaller['call']>>[]): void {
  const refused = answers.filter(({ status }) => status !== 200)
  expect(refused.length).toBe(answers.length - 1)
  for (const answer of refused) expectError(answer, 'ReplayedToken')
}
