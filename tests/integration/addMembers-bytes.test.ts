import { createTestConversation } from '@catbird/shared/mls/test-messages'
import { describe, expect, it } from 'vitest'
import { wire } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { bytesOf } from '../support/log-chain.ts'
import { base64, newDevice, publishDevice, RealGroup, welcomeFor } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

describe.each(MODES)('addMembers: MLS bytes and key packages, $name', ({ env }) => {
  const { people, sql } = useServer(env)

  it('answers newEpoch 1 to the creator who commits what createConvo listed', async () => {
    const [alice, bob] = people('alice', 'bob')
    const groupId = newGroupId()
    const group = await RealGroup.create(groupId, await newDevice(alice.did))
    const device = await publishDevice(bob)
    const { commit, welcome } = await group.add(device)
    const didList = [bob.did]
    const welcomeMessage = base64(welcome)
    const keyPackageHashes = [{ did: bob.did, hash: device.hash }]
    const convoId = await createConvo(alice, {
      groupId,
      initialMembers: didList,
      welcomeMessage,
      keyPackageHashes,
    })
    expectError(await alice.call('addMembers', { convoId, didList }), 'AlreadyMember')
    const other = await alice.call('addMembers', { convoId, didList: [...didList, newDid('carol')] })
    expectError(other, 'CommitRequired')
    const input = { convoId, didList, commit: wire(commit), welcomeMessage, keyPackageHashes }
    expect(await alice.ok('addMembers', input)).toMatchObject({ success: true, newEpoch: 1, seq: 1 })
    expect((await bob.ok('getWelcome', { convoId })).welcome).toBe(welcomeMessage)
    const { commits } = await bob.ok('getCommits', { convoId, fromEpoch: 0 })
    expect(commits).toMatchObject([{ epoch: 1, sender: alice.did, commitData: wire(commit) }])
  })

  it('lets the first commit set the base of a conversation that was created with a Welcome', async () => {
    const [alice, bob] = people('alice', 'bob')
    const welcomeMessage = base64(await welcomeFor(await newDevice(bob.did)))
    for (const base of [0, 1, 7]) {
      const convoId = await createConvo(alice, { initialMembers: [bob.did], welcomeMessage })
      const first = await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, base) })
      expect(first.newEpoch).toBe(base + 1)
      const second = await alice.call('addMembers', { convoId, didList: [], commit: commitFor(convoId, 20) })
      expectError(second, 'EpochMismatch', { serverEpoch: base + 1, expectedEpoch: 20 })
    }
  })

  it('follows the life of a real group and takes each form of message for what it is', async () => {
    const [alice, bob] = people('alice', 'bob')
    const group = await createTestConversation()
    const groupId = Buffer.from(group.groupId).toString('hex')
    const convoId = await createConvo(alice, { groupId, initialMembers: [bob.did], epoch: 0 })
    let epoch = 0
    for (const { name, bytes } of group.messages) {
      const commit = wire(bytes)
      const add = await alice.call('addMembers', { convoId, didList: [], commit })
      if (/^(public|private).*commit/.test(name)) {
        expect(add.body, name).toMatchObject({ newEpoch: ++epoch })
      } else expectError(add, 'InvalidCommit')
      const send = await alice.call('sendMessage', { convoId, ciphertext: commit, epoch })
      if (name.startsWith('application')) expect(send.body, name).toMatchObject({ epoch })
      else expectError(send, 'InvalidMessage')
    }
    expect(epoch).toBe(8)
  })

  it('refuses a commit of another group, of a wrong length or of no form', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const good = bytesOf(commitFor(convoId, 0))
    const bad = {
      'another group': bytesOf(commitFor(newGroupId(), 0)),
      'a trailing byte': Buffer.concat([good, Buffer.alloc(1)]),
      'a missing byte': good.subarray(0, -1),
      'no bytes': Buffer.alloc(0),
      noise: Buffer.alloc(100, 7),
      'an application message': bytesOf(messageFor(convoId, 0)),
      'the padding envelope': Buffer.concat([Buffer.from([0, 0, 0, good.length]), good, Buffer.alloc(9)]),
    }
    for (const [name, bytes] of Object.entries(bad)) {
      const answer = await alice.call('addMembers', { convoId, didList: [], commit: wire(bytes) })
      expect(answer.status, name).toBe(400)
      expectError(answer, 'InvalidCommit')
    }
    await alice.ok('addMembers', { convoId, didList: [], commit: wire(good) })
  })

  it('takes a commit of 10 MiB and refuses one byte more', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const commit = commitFor(convoId, 0, 10 * 2 ** 20)
    expect(await alice.ok('addMembers', { convoId, didList: [], commit })).toMatchObject({ newEpoch: 1 })
    const larger = commitFor(convoId, 1, 10 * 2 ** 20 + 1)
    const answer = await alice.call('addMembers', { convoId, didList: [], commit: larger })
    expectError(answer, 'MessageTooLarge')
  })

  it('refuses a Welcome that addresses others than the named key packages', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0 })
    const [named, other] = [await publishDevice(bob), await publishDevice(bob)]
    const input = {
      convoId,
      didList: [bob.did],
      commit: commitFor(convoId, 0),
      keyPackageHashes: [{ did: bob.did, hash: named.hash }],
    }
    const wrong = { ...input, welcomeMessage: base64(await welcomeFor(other)) }
    expectError(await alice.call('addMembers', wrong), 'InvalidWelcome')
    expectError(await bob.call('getWelcome', { convoId }), 'ConvoNotFound')
    const right = { ...input, welcomeMessage: base64(await welcomeFor(named)) }
    expect(await alice.ok('addMembers', right)).toMatchObject({ newEpoch: 1 })
  })

  it('releases no Welcome and consumes no key package with a stale commit', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 1 })
    const device = await publishDevice(bob)
    const input = {
      convoId,
      didList: [bob.did],
      welcomeMessage: base64(await welcomeFor(device)),
      keyPackageHashes: [{ did: bob.did, hash: device.ref }],
    }
    const stale = await alice.call('addMembers', { ...input, commit: commitFor(convoId, 0) })
    expectError(stale, 'EpochMismatch', { serverEpoch: 1, expectedEpoch: 0 })
    expectError(await bob.call('getWelcome', { convoId }), 'WelcomeNotFound')
    const [row] = await sql()`select consumed_by from key_packages where hash = ${device.hash}`
    expect(row).toEqual({ consumed_by: null })
    await alice.ok('addMembers', { ...input, commit: commitFor(convoId, 1) })
    expect(await bob.ok('getWelcome', { convoId })).toMatchObject({ keyPackageHash: device.hash })
  })

  it('lets the same conversation name a key package again and no other one', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { hash } = await publishDevice(bob)
    const keyPackageHashes = [{ did: bob.did, hash }]
    const add = (convoId: string, epoch: number) =>
      alice.call('addMembers', {
        convoId,
        didList: [bob.did],
        commit: commitFor(convoId, epoch),
        keyPackageHashes,
      })
    const [one, other] = [await createConvo(alice, { epoch: 0 }), await createConvo(alice, { epoch: 0 })]
    expect((await add(one, 0)).status).toBe(200)
    expect((await add(one, 1)).status).toBe(200)
    expectError(await add(other, 0), 'KeyPackageNotFound', { missing: keyPackageHashes })
    expect((await alice.ok('getEpoch', { convoId: other })).currentEpoch).toBe(0)
  })

  it('gives a key package to one of the conversations that name it at once', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { hash } = await publishDevice(bob)
    const keyPackageHashes = [{ did: bob.did, hash }]
    const convos = await Promise.all(Array.from({ length: 6 }, () => createConvo(alice, { epoch: 0 })))
    const answers = await Promise.all(
      convos.map((convoId) => {
        const commit = commitFor(convoId, 0)
        return alice.call('addMembers', { convoId, didList: [bob.did], commit, keyPackageHashes })
      }),
    )
    expect(answers.filter(({ status }) => status === 200).length).toBe(1)
    for (const answer of answers) {
      if (answer.status !== 200) expectError(answer, 'KeyPackageNotFound', { missing: keyPackageHashes })
    }
    expect((await bob.ok('getConvos')).conversations.length).toBe(1)
  })

  it('refuses key packages of who is neither listed nor a member', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const { hash } = await publishDevice(carol)
    const convoId = await createConvo(alice, { epoch: 0 })
    const keyPackageHashes = [{ did: carol.did, hash }]
    const input = { convoId, didList: [bob.did], commit: commitFor(convoId, 0), keyPackageHashes }
    expectError(await alice.call('addMembers', input), 'InvalidRequest')
    expect((await bob.ok('getKeyPackages', { dids: [carol.did] })).keyPackages.length).toBe(1)
  })

  it('lets any number of conversations name a last-resort key package', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { hash } = await publishDevice(bob, { lastResort: true })
    for (const convoId of [await createConvo(alice), await createConvo(alice)]) {
      await alice.ok('addMembers', {
        convoId,
        didList: [bob.did],
        keyPackageHashes: [{ did: bob.did, hash }],
      })
    }
  })
})
