import { describe, expect, it } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { createConvo, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { base64, publishDevice, welcomeFor } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

describe('confirmWelcome', () => {
  const { people, sql } = useServer(MODES[0].env)
  /** A conversation in which the member has a Welcome for each of two devices. */
  const inviteTwice = async (alice: TestClient, bob: TestClient) => {
    const [phone, laptop] = [
      await publishDevice(bob, { device: 'phone' }),
      await publishDevice(bob, { device: 'laptop' }),
    ]
    const convoId = await createConvo(alice, {
      initialMembers: [bob.did],
      welcomeMessage: base64(await welcomeFor(phone, laptop)),
      keyPackageHashes: [phone, laptop].map(({ hash }) => ({ did: bob.did, hash })),
    })
    return { convoId, phone, laptop }
  }

  it('consumes on success, once and for all', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { convoId, phone, laptop } = await inviteTwice(alice, bob)
    for (const { hash, ref } of [phone, laptop]) {
      const input = { convoId, success: true, keyPackageHash: ref }
      expect(await bob.ok('confirmWelcome', input)).toEqual({ confirmed: true })
      const answer = await bob.call('getWelcome', { convoId, keyPackageHash: hash })
      expectError(answer, 'WelcomeConsumed')
    }
    expectError(await bob.call('getWelcome', { convoId }), 'WelcomeConsumed')
  })

  it('answers a repeat as it did the first time, in sequence and at once', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { convoId, phone, laptop } = await inviteTwice(alice, bob)
    const confirm = { convoId, success: true, keyPackageHash: phone.hash }
    const answers = await Promise.all(Array.from({ length: 5 }, () => bob.ok('confirmWelcome', confirm)))
    for (const answer of [...answers, await bob.ok('confirmWelcome', confirm)]) {
      expect(answer).toEqual({ confirmed: true })
    }
    expect((await bob.ok('getWelcome', { convoId })).keyPackageHash).toBe(laptop.hash)
    expect(await bob.ok('confirmWelcome', { ...confirm, success: false })).toEqual({ confirmed: false })
  })

  it('means the one that getWelcome answers when no key package is named', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { convoId } = await inviteTwice(alice, bob)
    const { keyPackageHash } = await bob.ok('getWelcome', { convoId })
    expect(await bob.ok('confirmWelcome', { convoId, success: true })).toEqual({ confirmed: true })
    const other = await bob.ok('getWelcome', { convoId })
    expect(other.keyPackageHash).not.toBe(keyPackageHash)
    const used = await bob.call('getWelcome', { convoId, keyPackageHash })
    expectError(used, 'WelcomeConsumed')
  })

  it('puts a failed one behind the others and keeps the reason', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { convoId, phone, laptop } = await inviteTwice(alice, bob)
    const { keyPackageHash: first } = await bob.ok('getWelcome', { convoId })
    const second = first === phone.hash ? laptop.hash : phone.hash
    const errorDetails = 'e'.repeat(1024)
    const failure = { convoId, success: false, errorDetails, keyPackageHash: first }
    expect(await bob.ok('confirmWelcome', failure)).toEqual({ confirmed: true })
    expect((await bob.ok('getWelcome', { convoId })).keyPackageHash).toBe(second)
    expect((await bob.ok('getWelcome', { convoId, keyPackageHash: first })).keyPackageHash).toBe(first)
    const [row] = await sql()`select failure from welcomes where key_package_hash = ${first!}`
    expect(row).toEqual({ failure: errorDetails })
    await bob.ok('confirmWelcome', { convoId, success: true, keyPackageHash: second })
    expect((await bob.ok('getWelcome', { convoId })).keyPackageHash).toBe(first)
    const tooLong = { ...failure, errorDetails: 'e'.repeat(1025) }
    expectError(await bob.call('confirmWelcome', tooLong), 'InvalidRequest')
  })

  it('confirms nothing where there is nothing', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { convoId } = await inviteTwice(alice, bob)
    const unknown = { convoId, success: true, keyPackageHash: 'ab'.repeat(32) }
    expect(await bob.ok('confirmWelcome', unknown)).toEqual({ confirmed: false })
    for (const success of [true, false]) {
      expect(await alice.ok('confirmWelcome', { convoId, success })).toEqual({ confirmed: false })
    }
    await bob.ok('getWelcome', { convoId })
  })

  it('is for members alone', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const { convoId } = await inviteTwice(alice, bob)
    await bob.ok('leaveConvo', { convoId })
    expectError(await bob.call('confirmWelcome', { convoId, success: true }), 'NotMember')
    for (const id of [convoId, newGroupId()]) {
      expectError(await eve.call('confirmWelcome', { convoId: id, success: true }), 'ConvoNotFound')
    }
    expectError(await alice.call('confirmWelcome', { convoId }), 'InvalidRequest')
  })
})
