import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { wire } from '../support/client.ts'
import { createConvo, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { bytesOf, sha256 } from '../support/log-chain.ts'
import { ascending } from '../support/matchers.ts'
import { base64, publishDevice, welcomeFor } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

const opaque = (size = 64) => wire(randomBytes(size))

describe.each([MODES[0], MODES[2]])('MLS_VALIDATION=off, $name', ({ env }) => {
  const { people } = useServer({ ...env, MLS_VALIDATION: 'off' })

  it('serialises opaque commits that name no epoch', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const answers = await Promise.all(
      ascending(10).map(() => alice.ok('addMembers', { convoId, didList: [], commit: opaque() })),
    )
    expect(answers.map(({ newEpoch }) => newEpoch).toSorted((a, b) => a - b)).toEqual(ascending(10))
    const { commits } = await alice.ok('getCommits', { convoId, fromEpoch: 1 })
    expect(commits.map(({ epoch }) => epoch)).toEqual(ascending(10))
  })

  it('takes a real Welcome for a named key package as opaque bytes too', async () => {
    const [alice, bob] = people('alice', 'bob')
    const device = await publishDevice(bob)
    const welcomeMessage = base64(await welcomeFor(device))
    const keyPackageHashes = [{ did: bob.did, hash: device.hash }]
    const convoId = await createConvo(alice, { initialMembers: [bob.did], welcomeMessage, keyPackageHashes })
    expect(await bob.ok('getWelcome', { convoId })).toMatchObject({ welcome: welcomeMessage })
  })

  it('holds an opaque commit to the epoch that the input gives', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 1 })
    const winner = opaque()
    const update = { convoId, didList: [], epoch: 1 }
    expect(await alice.ok('addMembers', { ...update, commit: winner })).toMatchObject({ newEpoch: 2 })
    const stale = { serverEpoch: 2, expectedEpoch: 1 }
    const winningCommit = { seq: 1, epoch: 2, sha256: sha256(bytesOf(winner)) }
    const late = await alice.call('addMembers', { ...update, commit: opaque() })
    expectError(late, 'EpochMismatch', { ...stale, winningCommit })
    const removal = { convoId, targetDid: bob.did, epoch: 1, commit: opaque() }
    expectError(await alice.call('leaveConvo', removal), 'EpochMismatch', { ...stale, winningCommit })
    expect(await alice.ok('leaveConvo', { ...removal, epoch: 2 })).toMatchObject({ newEpoch: 3 })
  })

  it('takes opaque messages, still of the current epoch alone', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 1 })
    const ciphertext = opaque()
    await alice.ok('sendMessage', { convoId, epoch: 1, ciphertext })
    expect((await alice.ok('getMessages', { convoId })).messages).toMatchObject([{ ciphertext, epoch: 1 }])
    const future = await alice.call('sendMessage', { convoId, epoch: 2, ciphertext: opaque() })
    expectError(future, 'EpochMismatch', { serverEpoch: 1, expectedEpoch: 2 })
  })

  it('takes opaque key packages and Welcomes and keeps their rules', async () => {
    const [alice, bob] = people('alice', 'bob')
    const [keyPackage, welcomeMessage] = [base64(randomBytes(80)), base64(randomBytes(90))]
    const published = await bob.ok('publishKeyPackage', { keyPackage, cipherSuite: SUITE })
    expect(published).toEqual({ keyPackageHash: sha256(Buffer.from(keyPackage, 'base64')), available: 1 })
    const { keyPackages } = await alice.ok('getKeyPackages', { dids: [bob.did] })
    expect(keyPackages).toMatchObject([{ did: bob.did, keyPackage }])
    const keyPackageHashes = [{ did: bob.did, hash: published.keyPackageHash }]
    const input = { initialMembers: [bob.did], welcomeMessage, keyPackageHashes }
    const convoId = await createConvo(alice, input)
    expect((await bob.ok('getWelcome', { convoId })).welcome).toBe(welcomeMessage)
    const again = { groupId: 'abcd', cipherSuite: SUITE, ...input }
    expectError(await alice.call('createConvo', again), 'KeyPackageNotFound', { missing: keyPackageHashes })
  })
})
