import { describe, expect, it } from 'vitest'
import { wire } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { bytesOf, chainOf } from '../support/log-chain.ts'
import { aHash, ascending, aTime } from '../support/matchers.ts'
import { newDevice, RealGroup } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

const MIB = 2 ** 20

describe.each(MODES)('sendMessage, $name', ({ env }) => {
  const { people } = useServer(env)

  it('stores a message and answers its id, time, seq, epoch and log hash', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 1 })
    const ciphertext = messageFor(convoId, 1)
    const embed = { embedType: 'image/webp', embedUri: 'https://cdn.example.com/cat.webp' }
    const input = { convoId, ciphertext, epoch: 1, senderDid: bob.did, ...embed }
    const answer = await bob.ok('sendMessage', input)
    const { messageId, receivedAt } = answer
    expect(answer).toEqual({ messageId, receivedAt: aTime, seq: 1, epoch: 1, logHash: aHash })
    expect(Math.abs(Date.parse(receivedAt) - Date.now())).toBeLessThan(10_000)
    const { messages } = await alice.ok('getMessages', { convoId })
    expect(messages).toEqual([
      {
        id: messageId,
        convoId,
        sender: bob.did,
        ciphertext,
        epoch: 1,
        seq: 1,
        createdAt: receivedAt,
        ...embed,
        messageType: 'app',
        logHash: answer.logHash,
      },
    ])
    expect(chainOf(convoId, messages)).toEqual([answer.logHash])
  })

  it('numbers 20 concurrent messages without a hole and chains them', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const answers = await Promise.all(
      ascending(20).map((i) => {
        const sender = i % 2 ? alice : bob
        return sender.ok('sendMessage', { convoId, ciphertext: messageFor(convoId, 0), epoch: 0 })
      }),
    )
    const { messages } = await alice.ok('getMessages', { convoId, sinceSeq: 0 })
    expect(messages.map(({ seq }) => seq)).toEqual(ascending(20))
    const inOrder = answers.toSorted((a, b) => a.seq! - b.seq!)
    expect(chainOf(convoId, messages)).toEqual(inOrder.map(({ logHash }) => logHash))
    expect(messages.map(({ id }) => id)).toEqual(inOrder.map(({ messageId }) => messageId))
    const times = messages.map(({ createdAt }) => createdAt)
    expect(times).toEqual(times.toSorted())
  })

  it('accepts the current epoch and neither a past nor a future one', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const send = (epoch: number) =>
      alice.call('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })
    expect((await send(0)).status).toBe(200)
    for (const epoch of [0, 1]) {
      await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, epoch) })
    }
    for (const epoch of [0, 1, 3, 2 ** 53 - 1]) {
      expectError(await send(epoch), 'EpochMismatch', { serverEpoch: 2, expectedEpoch: epoch })
    }
    expect((await send(2)).body).toMatchObject({ epoch: 2, seq: 4 })
  })

  it('takes real messages bare and in the padding envelope and returns them as they came', async () => {
    const [alice] = people('alice')
    const groupId = newGroupId()
    const group = await RealGroup.create(groupId, await newDevice(alice.did))
    const convoId = await createConvo(alice, { groupId, epoch: 0 })
    const bare = Buffer.from(await group.message('meow'))
    const enveloped = (zeros: number) => {
      const head = Buffer.alloc(4)
      head.writeUInt32BE(bare.length)
      return Buffer.concat([head, bare, Buffer.alloc(zeros)])
    }
    const forms = [bare, enveloped(0), enveloped(1), enveloped(512 - bare.length)]
    for (const bytes of forms) await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: wire(bytes) })
    const { messages } = await alice.ok('getMessages', { convoId, sinceSeq: 0 })
    expect(messages.map(({ ciphertext }) => ciphertext)).toEqual(forms.map(wire))
    const dirty = Buffer.concat([enveloped(5), Buffer.from([1])])
    for (const bytes of [dirty, enveloped(0).subarray(0, -1), Buffer.concat([bare, Buffer.alloc(1)])]) {
      const answer = await alice.call('sendMessage', { convoId, epoch: 0, ciphertext: wire(bytes) })
      expectError(answer, 'InvalidMessage')
    }
  })

  it('refuses what is no application message of this group in the epoch given', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 1 })
    const bad = {
      'another group': messageFor(newGroupId(), 1),
      'another epoch than the field': messageFor(convoId, 0),
      'a commit': commitFor(convoId, 1),
      noise: wire(Buffer.alloc(80, 3)),
      'no bytes': wire(Buffer.alloc(0)),
      'an envelope around nothing': wire(Buffer.alloc(64)),
    }
    for (const [name, ciphertext] of Object.entries(bad)) {
      const answer = await alice.call('sendMessage', { convoId, epoch: 1, ciphertext })
      expect(answer.status, name).toBe(400)
      expectError(answer, 'InvalidMessage')
    }
    expect(await alice.ok('getEpoch', { convoId })).toMatchObject({ lastSeq: 0 })
  })

  it('takes a ciphertext of 10 MiB, returns it and refuses one byte more', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const ciphertext = messageFor(convoId, 0, 10 * MIB)
    await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext })
    const { messages } = await alice.ok('getMessages', { convoId })
    expect(messages[0]!.ciphertext.$bytes === ciphertext.$bytes).toBe(true)
    const larger = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, 10 * MIB + 1) }
    expectError(await alice.call('sendMessage', larger), 'MessageTooLarge')
  })

  it('refuses another sender than the caller', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), senderDid: bob.did }
    expectError(await alice.call('sendMessage', input), 'Forbidden')
    expect((await bob.ok('sendMessage', input)).seq).toBe(1)
  })

  it('takes https and at URIs as assets and no others', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const send = (embed: object) =>
      alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), ...embed })
    for (const embedUri of ['https://a.example/x?y#z', 'at://did:plc:a/app.bsky.feed.post/1']) {
      expect((await send({ embedUri })).status).toBe(200)
    }
    for (const embedUri of [
      'http://a.example/',
      'javascript:alert(1)',
      'data:,x',
      '//a.example',
      'cat',
      '',
    ]) {
      expectError(await send({ embedUri }), 'InvalidAsset')
    }
    expect((await send({ embedType: 't'.repeat(256) })).status).toBe(200)
    expectError(await send({ embedType: 't'.repeat(257) }), 'InvalidRequest')
  })

  it('tells who left from who never was there', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    await bob.ok('leaveConvo', { convoId })
    const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
    expectError(await bob.call('sendMessage', input), 'NotMember')
    const foreign = await eve.call('sendMessage', input)
    expectError(foreign, 'ConvoNotFound')
    const nowhere = newGroupId()
    const unknown = await eve.call('sendMessage', {
      convoId: nowhere,
      epoch: 0,
      ciphertext: messageFor(nowhere, 0),
    })
    expect(unknown.body).toEqual(foreign.body)
  })

  it('requires convoId, ciphertext and epoch', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
    for (const key of ['convoId', 'epoch', 'ciphertext']) {
      expectError(await alice.call('sendMessage', { ...input, [key]: undefined }), 'InvalidRequest')
    }
    for (const epoch of [-1, 1.5, '0', 2 ** 53]) {
      expectError(await alice.call('sendMessage', { ...input, epoch }), 'InvalidRequest')
    }
  })

  it('answers the same again to the same key and content, and refuses other content', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), idempotencyKey: 'k' }
    const first = await alice.ok('sendMessage', input)
    const plain = { ...input, ciphertext: bytesOf(input.ciphertext).toString('base64url') }
    expect(await alice.ok('sendMessage', plain)).toEqual(first)
    const other = { ...input, ciphertext: messageFor(convoId, 0) }
    expectError(await alice.call('sendMessage', other), 'IdempotencyConflict')
    expect(await alice.ok('getEpoch', { convoId })).toMatchObject({ lastSeq: 1 })
  })
})
