import { cleanUp } from '@catbird/api/jobs/clean-up'
import { describe, expect, it } from 'vitest'
import { commitFor, createConvo, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { base64, newDevice, publishDevice, RealGroup, welcomeFor } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

describe('getWelcome', () => {
  const { people, sql } = useServer(MODES[0].env)

  it('answers the Welcome again and again until it is confirmed, then says so', async () => {
    const [alice, bob] = people('alice', 'bob')
    const device = await publishDevice(bob)
    const welcome = base64(await welcomeFor(device))
    const keyPackageHashes = [{ did: bob.did, hash: device.hash }]
    const input = { initialMembers: [bob.did], welcomeMessage: welcome, keyPackageHashes }
    const convoId = await createConvo(alice, input)
    const answer = { convoId, welcome, keyPackageHash: device.hash }
    for (let i = 0; i < 3; i++) expect(await bob.ok('getWelcome', { convoId })).toEqual(answer)
    for (const keyPackageHash of [device.hash, device.ref]) {
      expect(await bob.ok('getWelcome', { convoId, keyPackageHash })).toEqual(answer)
    }
    await bob.ok('confirmWelcome', { convoId, success: true })
    expectError(await bob.call('getWelcome', { convoId }), 'WelcomeConsumed')
    const named = await bob.call('getWelcome', { convoId, keyPackageHash: device.hash })
    expectError(named, 'WelcomeConsumed')
  })

  it('lets a real member join with what it answers', async () => {
    const [alice, bob] = people('alice', 'bob')
    const groupId = newGroupId()
    const group = await RealGroup.create(groupId, await newDevice(alice.did))
    const device = await publishDevice(bob)
    const { commit, welcome } = await group.add(device)
    const convoId = await createConvo(alice, { groupId, epoch: 0 })
    await alice.ok('addMembers', {
      convoId,
      didList: [bob.did],
      commit: { $bytes: base64(commit) },
      welcomeMessage: base64(welcome),
      keyPackageHashes: [{ did: bob.did, hash: device.ref }],
    })
    const answer = await bob.ok('getWelcome', { convoId })
    expect(answer.keyPackageHash).toBe(device.hash)
    expect(await device.join(answer.welcome)).toBe(1)
  })

  it('still says that a Welcome was confirmed when the clean-up has deleted its bytes, and no other bytes', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const welcomeMessage = base64(await welcomeFor(await newDevice(bob.did)))
    const convoId = await createConvo(alice, { initialMembers: [bob.did, carol.did], welcomeMessage })
    await bob.ok('confirmWelcome', { convoId, success: true })
    await cleanUp(sql())
    expect(await carol.ok('getWelcome', { convoId })).toMatchObject({ welcome: welcomeMessage })
    await carol.ok('confirmWelcome', { convoId, success: true })
    const { welcomes } = await cleanUp(sql())
    expect(welcomes).toBeGreaterThan(0)
    expectError(await carol.call('getWelcome', { convoId }), 'WelcomeConsumed')
    expect(await sql()`select from welcome_bytes where convo_id = ${convoId}`).toHaveLength(0)
  })

  it('does not need the key package any more', async () => {
    const [alice, bob] = people('alice', 'bob')
    const device = await publishDevice(bob)
    const welcome = base64(await welcomeFor(device))
    const keyPackageHashes = [{ did: bob.did, hash: device.hash }]
    const input = { initialMembers: [bob.did], welcomeMessage: welcome, keyPackageHashes }
    const convoId = await createConvo(alice, input)
    await sql()`delete from key_packages where did = ${bob.did}`
    expect(await bob.ok('getWelcome', { convoId })).toMatchObject({ welcome })
    for (const keyPackageHash of [device.hash, device.ref]) {
      expect(await bob.ok('getWelcome', { convoId, keyPackageHash })).toMatchObject({ welcome })
    }
  })

  it('keeps one for each key package of a member and confirms them apart', async () => {
    const [alice, bob] = people('alice', 'bob')
    const [phone, laptop] = [await publishDevice(bob), await publishDevice(bob, { device: 'laptop' })]
    const welcomeMessage = base64(await welcomeFor(phone, laptop))
    const keyPackageHashes = [phone, laptop].map(({ hash }) => ({ did: bob.did, hash }))
    const convoId = await createConvo(alice, { initialMembers: [bob.did], welcomeMessage, keyPackageHashes })
    await bob.ok('confirmWelcome', { convoId, success: true, keyPackageHash: phone.hash })
    const used = await bob.call('getWelcome', { convoId, keyPackageHash: phone.hash })
    expectError(used, 'WelcomeConsumed')
    for (const keyPackageHash of [undefined, laptop.hash]) {
      const input = keyPackageHash ? { convoId, keyPackageHash } : { convoId }
      expect((await bob.ok('getWelcome', input)).keyPackageHash).toBe(laptop.hash)
    }
  })

  it('answers the newest after a member was invited again, and the earlier one never more', async () => {
    const [alice, bob] = people('alice', 'bob')
    const device = await publishDevice(bob)
    const [first, second] = [base64(await welcomeFor(device)), base64(await welcomeFor(device))]
    const keyPackageHashes = [{ did: bob.did, hash: device.hash }]
    const invitation = { welcomeMessage: first, keyPackageHashes }
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0, ...invitation })
    const again = { convoId, didList: [bob.did], ...invitation, welcomeMessage: second }
    await alice.ok('addMembers', { ...again, commit: commitFor(convoId, 0) })
    expect((await bob.ok('getWelcome', { convoId })).welcome).toBe(second)
    await bob.ok('confirmWelcome', { convoId, success: true })
    expectError(await bob.call('getWelcome', { convoId }), 'WelcomeConsumed')
  })

  it("keeps a device's Welcome when another device of the member is added", async () => {
    const [alice, bob] = people('alice', 'bob')
    const [phone, laptop] = [await publishDevice(bob), await publishDevice(bob, { device: 'laptop' })]
    const invitation = async (device: typeof phone) => ({
      welcomeMessage: base64(await welcomeFor(device)),
      keyPackageHashes: [{ did: bob.did, hash: device.hash }],
    })
    const first = await invitation(phone)
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0, ...first })
    const second = { convoId, didList: [bob.did], ...(await invitation(laptop)) }
    await alice.ok('addMembers', { ...second, commit: commitFor(convoId, 0) })
    const welcomeOf = async (keyPackageHash: string) =>
      (await bob.ok('getWelcome', { convoId, keyPackageHash })).welcome
    expect(await welcomeOf(phone.hash)).toBe(first.welcomeMessage)
    expect(await welcomeOf(laptop.hash)).toBe(second.welcomeMessage)
  })

  it('knows no Welcome for who was added without one, and none of another hash', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const device = await publishDevice(bob)
    const welcomeMessage = base64(await welcomeFor(device))
    const keyPackageHashes = [{ did: bob.did, hash: device.hash }]
    const convoId = await createConvo(alice, { initialMembers: [bob.did], welcomeMessage, keyPackageHashes })
    const other = await bob.call('getWelcome', { convoId, keyPackageHash: 'ab'.repeat(32) })
    expectError(other, 'WelcomeNotFound')
    expectError(await alice.call('getWelcome', { convoId }), 'WelcomeNotFound')
    await alice.ok('addMembers', { convoId, didList: [carol.did], commit: commitFor(convoId, 0) })
    expectError(await carol.call('getWelcome', { convoId }), 'WelcomeNotFound')
  })

  it('withdraws it from who leaves, and tells strangers nothing', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const welcomeMessage = base64(await welcomeFor(await newDevice(bob.did)))
    const convoId = await createConvo(alice, { initialMembers: [bob.did], welcomeMessage })
    await bob.ok('getWelcome', { convoId })
    await bob.ok('leaveConvo', { convoId })
    expectError(await bob.call('getWelcome', { convoId }), 'NotMember')
    const foreign = await eve.call('getWelcome', { convoId })
    expectError(foreign, 'ConvoNotFound')
    expect((await eve.call('getWelcome', { convoId: newGroupId() })).body).toEqual(foreign.body)
  })
})
