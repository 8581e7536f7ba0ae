import { describe, expect, it } from 'vitest'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { ascending } from '../support/matchers.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

describe.each(MODES)('sendMessage: ids chosen by the client, $name', ({ env }) => {
  const { people } = useServer(env)

  it('uses msgId as the message id and stores it once, also for ten at once', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const msgId = 'm'.repeat(64)
    const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), msgId }
    const answers = await Promise.all(ascending(10).map(() => alice.ok('sendMessage', input)))
    expect(answers[0]).toMatchObject({ messageId: msgId, seq: 1 })
    for (const answer of answers) expect(answer).toEqual(answers[0])
    const { messages } = await alice.ok('getMessages', { convoId })
    expect(messages.map(({ id }) => id)).toEqual([msgId])
    for (const bad of ['', 'm'.repeat(65), 7]) {
      expectError(await alice.call('sendMessage', { ...input, msgId: bad }), 'InvalidRequest')
    }
  })

  it('answers a repeat after the epoch has moved, before it looks at the epoch', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), msgId: 'one' }
    const first = await alice.ok('sendMessage', input)
    await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 0) })
    expect(await alice.ok('sendMessage', input)).toEqual(first)
    const other = { ...input, epoch: 1, ciphertext: messageFor(convoId, 1) }
    expectError(await alice.call('sendMessage', other), 'IdempotencyConflict')
    const unused = { ...input, msgId: 'two' }
    expectError(await alice.call('sendMessage', unused), 'EpochMismatch')
  })

  it('refuses the id to other content and to another sender, and keeps it to its conversation', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), msgId: 'one' }
    await alice.ok('sendMessage', input)
    const changes = [
      { ciphertext: messageFor(convoId, 0) },
      { embedType: 'image' },
      { embedUri: 'https://a.example' },
    ]
    for (const change of changes) {
      expectError(await alice.call('sendMessage', { ...input, ...change }), 'IdempotencyConflict')
    }
    expectError(await bob.call('sendMessage', input), 'IdempotencyConflict')
    const elsewhere = await createConvo(bob, { epoch: 0 })
    const ciphertext = messageFor(elsewhere, 0)
    await bob.ok('sendMessage', { convoId: elsewhere, epoch: 0, ciphertext, msgId: 'one' })
    expect(await alice.ok('getEpoch', { convoId })).toMatchObject({ lastSeq: 1 })
  })

  it('accepts one of ten different messages that claim one id at once', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const answers = await Promise.all(
      ascending(10).map(() =>
        alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), msgId: 'one' }),
      ),
    )
    expect(answers.filter(({ status }) => status === 200).length).toBe(1)
    for (const answer of answers) if (answer.status !== 200) expectError(answer, 'IdempotencyConflict')
  })
})

describe.each([MODES[0], MODES[2]])('sendMessage with MESSAGE_EPOCH_WINDOW=2, $name', ({ env }) => {
  const { people } = useServer({ ...env, MESSAGE_EPOCH_WINDOW: '2' })

  it('accepts up to two epochs back, never the future', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    for (const epoch of ascending(4, 0)) {
      await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, epoch) })
    }
    const send = (epoch: number) =>
      alice.call('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })
    for (const epoch of [4, 3, 2]) expect((await send(epoch)).body).toMatchObject({ epoch })
    for (const epoch of [1, 5]) {
      expectError(await send(epoch), 'EpochMismatch', { serverEpoch: 4, expectedEpoch: epoch })
    }
    const { messages } = await alice.ok('getMessages', { convoId, type: 'app', sinceSeq: 0 })
    expect(messages.map(({ epoch }) => epoch)).toEqual([4, 3, 2])
  })
})
