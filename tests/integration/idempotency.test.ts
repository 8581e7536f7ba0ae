import { cleanUp } from '@catbird/api/jobs/clean-up'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId, SUITE } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { ascending } from '../support/matchers.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { MODES, startTestServer, type TestServer } from '../support/server.ts'
import { newDid } from '../support/use-server.ts'

type Command = 'createConvo' | 'addMembers' | 'leaveConvo' | 'sendMessage'
type Input = Record<string, unknown>

/** Each command with a key: `input` in a conversation at epoch 0 with one more member, and a change of content. */
const COMMANDS: { name: Command; input(convoId: string, member: string): Input; changed: Input }[] = [
  {
    name: 'createConvo',
    input: () => ({ groupId: newGroupId(), cipherSuite: SUITE, initialMembers: [newDid('m')] }),
    changed: { initialMembers: [] },
  },
  {
    name: 'addMembers',
    input: (convoId) => ({ convoId, didList: [newDid('new')], commit: commitFor(convoId, 0) }),
    changed: { didList: [] },
  },
  {
    name: 'leaveConvo',
    input: (convoId, targetDid) => ({ convoId, targetDid, commit: commitFor(convoId, 0) }),
    changed: { targetDid: newDid('other') },
  },
  {
    name: 'sendMessage',
    input: (convoId) => ({ convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }),
    changed: { embedType: 'image' },
  },
]

describe.each(MODES)('idempotency keys, $name', ({ env }) => {
  let database: TestDatabase
  let server: TestServer
  const start = async () => {
    server = await startTestServer({ RATE_LIMIT_ENABLED: 'false', ...env }, database)
  }
  beforeAll(async () => {
    database = await createTestDatabase()
    await start()
  })
  afterAll(async () => {
    await server.stop()
    await database.drop()
  })

  /** A conversation and a keyed request for it. */
  const prepare = async ({ input }: (typeof COMMANDS)[number]) => {
    const [alice, member] = [server.as(newDid('alice')), newDid('member')]
    const convoId = await createConvo(alice, { initialMembers: [member], epoch: 0 })
    return { alice, convoId, input: { ...input(convoId, member), idempotencyKey: 'key' } }
  }
  const entryCount = async (client: TestClient, convoId: string) =>
    (await client.ok('getEpoch', { convoId })).lastSeq

  describe.each(COMMANDS)('$name', (command) => {
    it('gives one answer to ten at once and to a repeat', async () => {
      const { alice, convoId, input } = await prepare(command)
      const answers = await Promise.all(ascending(10).map(() => alice.ok(command.name, input)))
      for (const answer of answers) expect(answer).toEqual(answers[0])
      expect(await alice.ok(command.name, input)).toEqual(answers[0])
      expect(await entryCount(alice, convoId)).toBe(command.name === 'createConvo' ? 0 : 1)
    })

    it('gives the stored answer after a restart and after the epoch has moved', async () => {
      const { alice, convoId, input } = await prepare(command)
      const first = await alice.ok(command.name, input)
      const { currentEpoch } = await alice.ok('getEpoch', { convoId })
      const commit = commitFor(convoId, currentEpoch)
      await alice.ok('addMembers', { convoId, didList: [], commit })
      expect(await alice.ok(command.name, input)).toEqual(first)
      await server.stop()
      await start()
      expect(await server.as(alice.did).ok(command.name, input)).toEqual(first)
    })

    it('refuses the key to other content, also when both come at once', async () => {
      const { alice, input } = await prepare(command)
      const other = { ...input, ...command.changed }
      const answers = await Promise.all([input, other].map((one) => alice.call(command.name, one)))
      const refused = answers.filter(({ status }) => status !== 200)
      // Of another target the key is free only until the first is accepted, and NotMember before.
      expect(refused.length).toBe(1)
      const accepted = answers[0]!.status === 200 ? input : other
      const conflicting = accepted === input ? other : input
      expect((await alice.call(command.name, accepted)).status).toBe(200)
      expectError(await alice.call(command.name, conflicting), 'IdempotencyConflict')
    })

    it('takes content for the same in whatever form it is sent', async () => {
      const { alice, input } = await prepare(command)
      const first = await alice.ok(command.name, input)
      const reordered = Object.fromEntries(Object.entries({ unknown: 1, ...input }).reverse())
      expect(await alice.ok(command.name, reordered)).toEqual(first)
      const snake = Object.entries<unknown>(input).map(([key, value]) => [
        key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
        (value as { $bytes?: string }).$bytes ?? value,
      ])
      expect(await alice.ok(command.name, Object.fromEntries(snake))).toEqual(first)
    })

    it('keeps the key free when it refuses', async () => {
      const { alice, convoId, input } = await prepare(command)
      const id = command.name === 'createConvo' ? { groupId: convoId } : { convoId: newGroupId() }
      expect((await alice.call(command.name, { ...input, ...id })).status).not.toBe(200)
      await alice.ok(command.name, input)
    })

    it('recognises the caller first: a key does not answer who is not authenticated', async () => {
      const { alice, input } = await prepare(command)
      await alice.ok(command.name, input)
      const response = await fetch(`${server.url}/xrpc/blue.catbird.mls.${command.name}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(input),
      })
      expect(response.status).toBe(401)
    })
  })

  it('keeps the keys of callers and of methods apart', async () => {
    const [alice, bob] = [server.as(newDid('alice')), server.as(newDid('bob'))]
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0, idempotencyKey: 'key' })
    const send = { convoId, epoch: 0, idempotencyKey: 'key' }
    const ciphertexts = [messageFor(convoId, 0), messageFor(convoId, 0)]
    await alice.ok('sendMessage', { ...send, ciphertext: ciphertexts[0] })
    await bob.ok('sendMessage', { ...send, ciphertext: ciphertexts[1] })
    const commit = commitFor(convoId, 0)
    await alice.ok('addMembers', { convoId, didList: [], commit, idempotencyKey: 'key' })
    await bob.ok('leaveConvo', { convoId, idempotencyKey: 'key' })
    const { messages } = await alice.ok('getMessages', { convoId, type: 'app', sinceSeq: 0 })
    expect(messages.map(({ ciphertext }) => ciphertext)).toEqual(ciphertexts)
  })

  it('answers a caller who has left since, and one who was removed', async () => {
    const [alice, bob] = [server.as(newDid('alice')), server.as(newDid('bob'))]
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), idempotencyKey: 'key' }
    const first = await bob.ok('sendMessage', input)
    await bob.ok('leaveConvo', { convoId })
    expect(await bob.ok('sendMessage', input)).toEqual(first)
  })

  it('takes a conversation id as the only difference for other content', async () => {
    const alice = server.as(newDid('alice'))
    const [one, other] = [await createConvo(alice), await createConvo(alice)]
    const input = { didList: [newDid('bob')], idempotencyKey: 'key' }
    await alice.ok('addMembers', { ...input, convoId: one })
    expectError(await alice.call('addMembers', { ...input, convoId: other }), 'IdempotencyConflict')
    expect(await entryCount(alice, other)).toBe(0)
  })

  it('keeps a key for 24 hours', async () => {
    const alice = server.as(newDid('alice'))
    const convoId = await createConvo(alice, { epoch: 0 })
    const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), idempotencyKey: 'key' }
    const before = Date.now()
    await alice.ok('sendMessage', input)
    const sql = openSql(server.databaseUrl)
    try {
      const [row] = await sql`select expires_at from idempotency where caller = ${alice.did}`
      expect(Math.abs(row!.expires_at.getTime() - before - 24 * 3_600_000)).toBeLessThan(60_000)
      await sql`update idempotency set expires_at = now() - interval '1 second' where caller = ${alice.did}`
      expect(await cleanUp(sql)).toMatchObject({ idempotency: 1 })
    } finally {
      await sql.end()
    }
    expect(await alice.ok('sendMessage', input)).toMatchObject({ seq: 2 })
  })
})
