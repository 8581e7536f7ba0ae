import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { base64, newDevice, publishDevice } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

type Name = Parameters<TestClient['call']>[0]
type Case = { name: Name; input(convoId: string, alice: TestClient): Promise<Record<string, unknown>> }

/** A request of each method that succeeds for the creator of a conversation at epoch 0. */
const CASES: Case[] = [
  { name: 'createConvo', input: async () => ({ groupId: newGroupId(), cipherSuite: SUITE }) },
  {
    name: 'addMembers',
    input: async (convoId) => ({ convoId, didList: [newDid('m')], commit: commitFor(convoId, 0) }),
  },
  { name: 'leaveConvo', input: async (convoId, { did }) => ({ convoId, targetDid: did }) },
  {
    name: 'sendMessage',
    input: async (convoId, { did }) => ({
      convoId,
      epoch: 0,
      ciphertext: messageFor(convoId, 0),
      senderDid: did,
      msgId: 'one',
      embedType: 'image',
      embedUri: 'https://a.example/',
    }),
  },
  { name: 'getMessages', input: async (convoId) => ({ convoId, sinceSeq: 0, markRead: false }) },
  { name: 'getCommits', input: async (convoId) => ({ convoId, fromEpoch: 0, toEpoch: 5 }) },
  { name: 'getEpoch', input: async (convoId) => ({ convoId }) },
  { name: 'getConvos', input: async () => ({ limit: 5 }) },
  {
    name: 'publishKeyPackage',
    input: async (_, { did }) => ({
      keyPackage: base64((await newDevice(did)).bytes),
      cipherSuite: SUITE,
      lastResort: true,
    }),
  },
  { name: 'getKeyPackages', input: async (_, { did }) => ({ dids: [did], cipherSuite: SUITE }) },
  { name: 'confirmWelcome', input: async (convoId) => ({ convoId, success: false, errorDetails: 'x' }) },
  { name: 'updateCursor', input: async (convoId) => ({ convoId, cursor: '0' }) },
  {
    name: 'sendEphemeral',
    input: async (convoId) => ({ convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }),
  },
  { name: 'getSubscriptionTicket', input: async (convoId) => ({ convoId }) },
]

const snakeCase = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

describe('inputs', () => {
  const { people, server } = useServer(MODES[0].env)
  const prepare = async ({ input }: Case) => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    return { alice, request: await input(convoId, alice) }
  }

  it.each(CASES)('of $name may have keys that the lexicon does not know', async (one) => {
    const { alice, request } = await prepare(one)
    await alice.ok(one.name, { ...request, unknown: 'x', $type: 'y', toString: 'z', _: 1 })
  })

  it.each(CASES)('of $name may have snake_case keys for the camelCase ones', async (one) => {
    const { alice, request } = await prepare(one)
    const entries = Object.entries(request).map(([key, value]) => [snakeCase(key), value])
    await alice.ok(one.name, Object.fromEntries(entries))
  })

  it('of streams are read in the same way', async () => {
    const [alice] = people('alice')
    const [convoId, unknown] = [await createConvo(alice), newGroupId()]
    const headers = { Authorization: `Bearer ${await alice.token()}` }
    const urlOf = (name: string, query: string) => `${server().url}/xrpc/blue.catbird.mls.${name}?${query}`
    const statusOverSse = async (query: string) => {
      const leave = new AbortController()
      const { status } = await fetch(urlOf('streamConvoEvents', query), { headers, signal: leave.signal })
      leave.abort()
      return status
    }
    const statusOverSocket = (query: string) =>
      new Promise<number | undefined>((resolve) => {
        const socket = new WebSocket(urlOf('subscribeConvoEvents', query), { headers })
        socket.on('error', () => {})
        const answered = ({ statusCode }: { statusCode?: number }) => {
          resolve(statusCode)
          socket.terminate()
        }
        socket.on('upgrade', answered).on('unexpected-response', (_request, response) => answered(response))
      })
    for (const [query, refused] of [
      [`convoId=${convoId}&unknown=x&$type=y`, undefined],
      [`convo_id=${convoId}`, undefined],
      [`convo_id=${unknown}`, 404],
      [`convoId=${convoId}&convo_id=${unknown}`, undefined],
      [`convoId=${unknown}&convo_id=${convoId}`, 404],
      [`convoId=${convoId}&convoId=${unknown}`, 400],
      ['convoId=', 400],
    ] as const) {
      const statuses = [await statusOverSse(query), await statusOverSocket(query)]
      expect(statuses, query).toEqual([refused ?? 200, refused ?? 101])
    }
  })

  it('take the camelCase key where both are there', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice)
    await alice.ok('getEpoch', { convoId, convo_id: newGroupId() })
    const bob = newDid('bob')
    await alice.ok('addMembers', { convo_id: convoId, did_list: [bob], didList: [alice.did, bob] })
  })

  it('resolve snake_case in names of values that matter', async () => {
    const [alice, bob] = people('alice', 'bob')
    const device = await publishDevice(bob)
    const view = await alice.ok('createConvo', {
      group_id: newGroupId(),
      cipher_suite: SUITE,
      initial_members: [bob.did],
      key_package_hashes: [{ did: bob.did, hash: device.hash }],
      idempotency_key: 'key',
    })
    expect(view.members.map(({ did }) => did)).toEqual([alice.did, bob.did])
    expect((await alice.ok('getKeyPackages', { dids: [bob.did] })).missing).toEqual([bob.did])
    const again = { groupId: view.id, cipherSuite: SUITE, idempotencyKey: 'key' }
    expectError(await alice.call('createConvo', again), 'IdempotencyConflict')
  })

  it('check DIDs by their syntax alone', async () => {
    const [alice] = people('alice')
    for (const did of ['did:plc:alice', 'did:web:example.com', 'did:web:localhost%3A3000', 'did:key:zQ3sh']) {
      await alice.ok('getKeyPackages', { dids: [did] })
      await createConvo(alice, { initialMembers: [did] })
    }
  })
})
