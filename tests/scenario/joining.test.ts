import { describe, expect, it } from 'vitest'
import { expectError } from '../support/expect-error.ts'
import { bytesOf } from '../support/log-chain.ts'
import { addMembers, removeMember, updateKeys } from '../support/mls-changes.ts'
import { MlsClient } from '../support/mls-client.ts'
import type { MlsGroup } from '../support/mls-group.ts'
import { expectAgreement, mlsClients, SCENARIO_MODES, texts } from '../support/mls-scenario.ts'
import { useServer } from '../support/use-server.ts'

describe.each(SCENARIO_MODES)('joining, $name', ({ env }) => {
  const { newClient, startGroup } = mlsClients(useServer(env))

  it('who is added with a commit and a Welcome joins, and all read what all write', async () => {
    const { clients, groups } = await startGroup('alice', 'bob', 'carol')
    for (const group of groups) await group.send(`hello from ${group.caller.did}`)
    const received = await expectAgreement(...groups)
    for (const messages of received) {
      expect(texts(messages)).toEqual(clients.map(({ did }) => `hello from ${did}`))
    }
    const [alice, bob] = groups
    expect(alice.members).toEqual(clients.map(({ did }) => did))
    const { convoId } = alice
    expectError(await bob.caller.call('getWelcome', { convoId }), 'WelcomeConsumed')
  })

  it('members join one after the other, each added by the one before, while the others go on', async () => {
    const { groups } = await startGroup('alice')
    const all: [MlsGroup, ...MlsGroup[]] = [...groups]
    for (const name of ['bob', 'carol', 'dave', 'erin']) {
      const client = await newClient(name)
      await addMembers(all.at(-1)!, [client.did])
      const joined = await client.join(all[0].convoId)
      await joined.send(`${name} is here`)
      all.push(joined)
      await Promise.all(all.map((group) => group.sync()))
    }
    await expectAgreement(...all)
    expect(all[0].epoch).toBe(4)
  })

  it('a late joiner reads from the commit that added it on, and nothing before', async () => {
    const { groups } = await startGroup('alice', 'bob')
    const [alice, bob] = groups
    const { convoId } = alice
    await alice.send('before Carol')
    await updateKeys(bob)
    const client = await newClient('carol')
    await addMembers(alice, [client.did])
    await alice.send('after Carol')
    const carol = await client.join(convoId)
    const [, , carolRead] = await expectAgreement(alice, bob, carol)
    expect(texts(carolRead!)).toEqual(['after Carol'])

    const page = await carol.caller.ok('getMessages', { convoId, sinceSeq: 0 })
    expect(page).toMatchObject({ firstSeq: 4, messages: [{ seq: 4, messageType: 'commit' }, { seq: 5 }] })
    const { commits } = await carol.caller.ok('getCommits', { convoId, fromEpoch: 0 })
    expect(commits.map(({ epoch }) => epoch)).toEqual([3])
    const { messages } = await alice.caller.ok('getMessages', { convoId, sinceSeq: 1, limit: 1 })
    const { id, ciphertext } = messages[0]!
    expectError(await carol.caller.call('getMessages', { convoId, sinceMessage: id }), 'InvalidCursor')
    await expect(carol.decrypt(bytesOf(ciphertext))).rejects.toThrow()
  })

  it('a member who was away reads hundreds of messages and the commits among them, page by page', async () => {
    const { groups } = await startGroup('alice', 'bob')
    const [alice, bob] = groups
    const sent: string[] = []
    for (let i = 1; i <= 210; i++) {
      sent.push(`message ${i}`)
      await alice.send(`message ${i}`)
      if (i % 50 === 0) await updateKeys(alice)
    }
    const [, bobRead] = await expectAgreement(alice, bob)
    expect(texts(bobRead!)).toEqual(sent)
    expect(bob.seq).toBe(1 + 210 + 4)
  })

  it('who was removed is added again with a new Welcome, and misses what was in between', async () => {
    const { clients, groups } = await startGroup('alice', 'bob', 'carol')
    const [alice, bob, carol] = groups
    const { convoId } = alice
    await alice.send('with Carol')
    await removeMember(alice, carol.caller.did)
    await carol.sync()
    expect(carol.isRemoved).toBe(true)
    await bob.send('without Carol')
    await clients[2].publishKeyPackage()
    await addMembers(bob, [carol.caller.did])
    const again = await clients[2].join(convoId)
    await again.send('with Carol again')
    const [, , carolRead] = await expectAgreement(alice, bob, again)
    expect(texts(carolRead!)).toEqual(['with Carol again'])

    const { messages } = await again.caller.ok('getMessages', { convoId, sinceSeq: 0 })
    expect(messages.map(({ seq }) => seq)).toEqual([1, 2, 3, 5, 6])
    await expect(carol.sync()).rejects.toThrow('entry 5 came after entry 3')
  })

  it('two devices of one member each join with the Welcome for their own key package', async () => {
    const { groups } = await startGroup('alice')
    const [alice] = groups
    const { convoId } = alice
    const phone = await newClient('bob', 'phone')
    const { caller } = phone
    const laptop = new MlsClient(caller, 'laptop')
    const laptopHash = await laptop.publishKeyPackage()
    await addMembers(alice, [phone.did])
    expect(alice.epoch).toBe(1)
    const welcome = await caller.ok('getWelcome', { convoId, keyPackageHash: laptopHash })
    expect(welcome.keyPackageHash).toBe(laptopHash)

    const onPhone = await phone.join(convoId)
    const onLaptop = await laptop.join(convoId)
    expectError(await caller.call('getWelcome', { convoId }), 'WelcomeConsumed')
    await onPhone.send('from the phone')
    await updateKeys(onLaptop)
    const [, , laptopRead] = await expectAgreement(alice, onPhone, onLaptop)
    expect(texts(laptopRead!)).toEqual(['from the phone'])
    expect(alice.members.slice(1).toSorted()).toEqual([laptop.identity, phone.identity])
  })

  it('a further device of a present member is added by that member; removal removes both', async () => {
    const { groups } = await startGroup('alice', 'bob')
    const [alice, bob] = groups
    await bob.send('before the tablet')
    const tablet = new MlsClient(bob.caller, 'tablet')
    await tablet.publishKeyPackage()
    await addMembers(bob, [tablet.did])
    const onTablet = await tablet.join(bob.convoId)
    await alice.send('to both devices')
    const [, , tabletRead] = await expectAgreement(alice, bob, onTablet)
    expect(texts(tabletRead!)).toEqual(['to both devices'])
    await removeMember(alice, tablet.did)
    expect(alice.members).toEqual([alice.caller.did])
    await Promise.all([bob.sync(), onTablet.sync()])
    expect([bob.isRemoved, onTablet.isRemoved]).toEqual([true, true])
    await expectAgreement(alice)
  })
})
