import { sha256Hex } from '@catbird/shared/bytes'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type NetworkServer, startNetworkServer } from '../support/atproto/network-server.ts'
import { startPds, type TestPds } from '../support/atproto/pds.ts'
import type { PdsAccount } from '../support/atproto/pds-account.ts'
import { startPlc, type TestPlc } from '../support/atproto/plc.ts'
import { XrpcCaller } from '../support/atproto/xrpc-caller.ts'
import { commitFor, messageFor, newGroupId, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { addMembers, updateKeys } from '../support/mls-changes.ts'
import { MlsClient } from '../support/mls-client.ts'
import { expectAgreement, SCENARIO_MODES, texts } from '../support/mls-scenario.ts'

const ROUNDS = 5
const NSID = 'blue.catbird.mls.getConvos'
const nowS = () => Math.floor(Date.now() / 1000)

/** The details as a client reads them that gets nothing but the message. */
function detailsIn(message: string): Record<string, string> {
  return Object.fromEntries([...message.matchAll(/(\w+)=([^\s()]+)/g)].map(([, key, value]) => [key, value]))
}

describe.each(SCENARIO_MODES)('accounts of a real PDS, $name', ({ env }) => {
  let plc: TestPlc
  let pds: TestPds
  let server: NetworkServer
  let alice: PdsAccount
  let bob: PdsAccount

  beforeAll(async () => {
    plc = await startPlc()
    pds = await startPds(plc.url)
    server = await startNetworkServer(plc, env)
    alice = await pds.createAccount('alice')
    bob = await pds.createAccount('bob')
  })
  afterAll(async () => {
    await server?.stop()
    await pds?.stop()
    await plc?.stop()
  })

  const through = (account: PdsAccount) => account.through(server.did)
  const direct = (account: PdsAccount, audience = server.did) => account.direct(server.url, audience)

  /** A conversation of both, in epoch 1. */
  async function startConvo(creator: XrpcCaller, other: XrpcCaller): Promise<string> {
    const input = { groupId: newGroupId(), cipherSuite: SUITE, epoch: 0 }
    const { id: convoId } = await creator.ok('createConvo', input)
    const addition = { convoId, didList: [other.did], commit: commitFor(convoId, 0) }
    expect(await creator.ok('addMembers', addition)).toMatchObject({ success: true, newEpoch: 1, seq: 1 })
    return convoId
  }

  it.each([
    { way: 'through the PDS', reach: through },
    { way: 'directly with tokens from the PDS', reach: (account: PdsAccount) => direct(account) },
    {
      way: 'directly with tokens that name the service in the document',
      reach: (account: PdsAccount) => direct(account, `${server.did}#atproto_mls`),
    },
  ])('members talk $way', async ({ reach }) => {
    const [a, b] = [reach(alice), reach(bob)]
    const convoId = await startConvo(a, b)
    const ciphertext = messageFor(convoId, 1)
    const { messageId } = await a.ok('sendMessage', { convoId, epoch: 1, ciphertext })
    const { conversations } = await b.ok('getConvos')
    const convo = conversations.find(({ id }) => id === convoId)!
    expect(convo).toMatchObject({ creator: alice.did, epoch: 1, unreadCount: 1 })
    expect(convo.members.map(({ did }) => did)).toEqual([alice.did, bob.did])
    const { messages } = await b.ok('getMessages', { convoId, type: 'app' })
    expect(messages).toMatchObject([{ id: messageId, sender: alice.did, ciphertext, epoch: 1, seq: 2 }])
    expect((await b.ok('updateCursor', { convoId, cursor: '2' })).success).toBe(true)
    const { missing } = await b.ok('getKeyPackages', { dids: [alice.did, bob.did] })
    expect(missing?.toSorted()).toEqual([alice.did, bob.did].toSorted())
  })

  it('of two commits raced through the PDS one wins, and the loser recovers with what the PDS passes on', async () => {
    const members = [through(alice), through(bob)] as const
    const convoId = await startConvo(...members)
    for (let round = 0, epoch = 1; round < ROUNDS; round++, epoch += 2) {
      const commits = [commitFor(convoId, epoch), commitFor(convoId, epoch)] as const
      const answers = await Promise.all(
        members.map((member, i) => member.call('addMembers', { convoId, didList: [], commit: commits[i] })),
      )
      const won = answers[0]!.status === 200 ? 0 : 1
      const lost = 1 - won
      expect(answers[won]!.body).toMatchObject({ newEpoch: epoch + 1 })
      const { error, message, ...others } = answers[lost]!.body
      expect({ status: answers[lost]!.status, error, others }).toEqual({
        status: 409,
        error: 'EpochMismatch',
        others: {},
      })

      const { expectedEpoch, serverEpoch, winnerSeq, winnerSha256 } = detailsIn(message)
      const loser = members[lost]!
      const missed = await loser.ok('getCommits', { convoId, fromEpoch: Number(expectedEpoch) + 1 })
      expect(missed.commits).toMatchObject([
        {
          epoch: Number(serverEpoch),
          seq: Number(winnerSeq),
          sender: members[won]!.did,
          commitData: commits[won],
        },
      ])
      expect(sha256Hex(Buffer.from(commits[won].$bytes, 'base64'))).toBe(winnerSha256)
      const again = { convoId, didList: [], commit: commitFor(convoId, Number(serverEpoch)) }
      expect((await loser.ok('addMembers', again)).newEpoch).toBe(epoch + 2)
    }
  })

  it('real groups form, race their commits and talk through the PDS', async () => {
    const clients = [new MlsClient(through(alice)), new MlsClient(through(bob))] as const
    await clients[1].publishKeyPackage()
    const one = await clients[0].createGroup()
    await addMembers(one, [bob.did])
    const two = await clients[1].join(one.convoId)
    for (let round = 0; round < ROUNDS; round++) {
      await expectAgreement(one, two)
      const outcomes = await Promise.all([updateKeys(one), updateKeys(two)])
      expect(outcomes.flatMap(({ refusals }) => refusals).length).toBe(1)
    }
    await one.send('from alice')
    const [, received] = await expectAgreement(one, two)
    expect(texts(received!)).toEqual(['from alice'])
    expect(one.epoch).toBe(1 + 2 * ROUNDS)
  })

  it('a token from the PDS does for its service, its method and its minutes only', async () => {
    const getConvos = (token: string | Promise<string>) =>
      XrpcCaller.withTokens(alice.did, server.url, async () => token).call('getConvos')
    const minted = async (params: { aud: string; lxm?: string; exp?: number }) => {
      const { data } = await alice.agent.com.atproto.server.getServiceAuth(params)
      return data.token
    }
    expectError(await getConvos(minted({ aud: 'did:web:mls.example.com', lxm: NSID })), 'BadJwtAudience')
    expectError(await getConvos(minted({ aud: `${server.did}#other`, lxm: NSID })), 'BadJwtAudience')
    expectError(await getConvos(minted({ aud: server.did })), 'BadJwtLexiconMethod')
    expectError(
      await getConvos(minted({ aud: server.did, lxm: 'blue.catbird.mls.getEpoch' })),
      'BadJwtLexiconMethod',
    )
    expectError(await getConvos(minted({ aud: server.did, lxm: NSID, exp: nowS() + 3000 })), 'InvalidToken')
    const good = await minted({ aud: server.did, lxm: NSID, exp: nowS() + 200 })
    expect((await getConvos(good)).status).toBe(200)
    expect((await getConvos(good)).status).toBe(200)
  })

  it('an account that is deactivated at its PDS keeps its identity: the PDS still vouches for it', async () => {
    const carol = await pds.createAccount('carol')
    const { id: convoId } = await through(carol).ok('createConvo', {
      groupId: newGroupId(),
      cipherSuite: SUITE,
    })
    await carol.agent.com.atproto.server.deactivateAccount({})
    for (const caller of [through(carol), direct(carol)]) {
      const { conversations } = await caller.ok('getConvos')
      expect(conversations.map(({ id }) => id)).toEqual([convoId])
    }
  })
})
