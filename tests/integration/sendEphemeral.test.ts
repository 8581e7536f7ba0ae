import { type Ephemeral, Ephemerals } from '@catbird/api/events/ephemerals'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type TestClient, wire } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { expectError } from '../support/expect-error.ts'
import { newDevice, RealGroup } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { type SharedServer, useServer } from '../support/use-server.ts'

const MAX_BYTES = 4096

/** What another process on the same database hears. */
function useOtherProcess(server: SharedServer['server']): { heard: Ephemeral[] } {
  const heard: Ephemeral[] = []
  let other: Ephemerals
  beforeAll(async () => {
    const options = { databaseUrl: server().databaseUrl, log: pino({ level: 'silent' }) }
    other = new Ephemerals(options, (ephemeral) => heard.push(ephemeral))
    await other.start()
  })
  beforeEach(() => {
    heard.length = 0
  })
  afterAll(() => other?.stop())
  return { heard }
}

/** Ends the conversation's current epoch. */
async function commit(client: TestClient, convoId: string, epoch: number): Promise<void> {
  await client.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, epoch) })
}

describe.each(MODES)('sendEphemeral, $name', ({ env }) => {
  const { people, server, sql } = useServer(env)
  const { heard } = useOtherProcess(server)

  it('passes what a member sends on to all processes, as it came, under the name of the caller', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 1 })
    const ciphertext = messageFor(convoId, 1)
    expect(await bob.ok('sendEphemeral', { convoId, ciphertext, epoch: 1 })).toEqual({ success: true })
    await eventually('hearing', () => heard.length === 1)
    const bytes = new Uint8Array(Buffer.from(ciphertext.$bytes, 'base64'))
    expect(heard).toEqual([{ convoId, sender: bob.did, ciphertext: bytes, epoch: 1 }])
  })

  it('takes real messages, and 4 KiB but no byte more', async () => {
    const [alice] = people('alice')
    const groupId = newGroupId()
    const group = await RealGroup.create(groupId, await newDevice(alice.did))
    const convoId = await createConvo(alice, { groupId, epoch: 0 })
    await alice.ok('sendEphemeral', { convoId, epoch: 0, ciphertext: wire(await group.message('typing')) })
    await alice.ok('sendEphemeral', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, MAX_BYTES) })
    await eventually('hearing', () => heard.length === 2)
    expect(heard[1]!.ciphertext).toHaveLength(MAX_BYTES)
    const larger = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, MAX_BYTES + 1) }
    const details = { field: 'ciphertext', maxBytes: MAX_BYTES }
    expectError(await alice.call('sendEphemeral', larger), 'MessageTooLarge', details)
  })

  it('stores nothing and logs nothing of it', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const before = await alice.ok('getEpoch', { convoId })
    const ciphertext = messageFor(convoId, 0)
    await alice.ok('sendEphemeral', { convoId, epoch: 0, ciphertext })
    await eventually('hearing', () => heard.length === 1)
    expect(await alice.ok('getEpoch', { convoId })).toEqual(before)
    expect(await alice.ok('getMessages', { convoId, type: 'all' })).toMatchObject({ messages: [] })
    const bytes = Buffer.from(ciphertext.$bytes, 'base64')
    const traces = [ciphertext.$bytes, bytes.toString('hex'), bytes.toString('base64url')]
    const stored = await storedTexts(sql())
    expect(stored).toContain(convoId)
    for (const text of [stored, JSON.stringify(server().logs)]) {
      for (const trace of traces) expect(text).not.toContain(trace.slice(0, 64))
    }
  })

  it('accepts the current epoch and neither a past nor a future one', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const send = (epoch: number) =>
      alice.call('sendEphemeral', { convoId, epoch, ciphertext: messageFor(convoId, epoch) })
    expect((await send(0)).status).toBe(200)
    for (const epoch of [0, 1]) await commit(alice, convoId, epoch)
    for (const epoch of [0, 1, 3, 2 ** 53 - 1]) {
      expectError(await send(epoch), 'EpochMismatch', { serverEpoch: 2, expectedEpoch: epoch })
    }
    expect((await send(2)).status).toBe(200)
    await eventually('hearing', () => heard.length === 2)
    expect(heard.map(({ epoch }) => epoch)).toEqual([0, 2])
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
    }
    for (const [name, ciphertext] of Object.entries(bad)) {
      const answer = await alice.call('sendEphemeral', { convoId, epoch: 1, ciphertext })
      expect(answer.status, name).toBe(400)
      expectError(answer, 'InvalidMessage')
    }
    const good = { convoId, epoch: 1, ciphertext: messageFor(convoId, 1) }
    for (const change of [{ epoch: -1 }, { epoch: '1' }, { epoch: undefined }, { ciphertext: undefined }]) {
      expectError(await alice.call('sendEphemeral', { ...good, ...change }), 'InvalidRequest')
    }
    await alice.ok('sendEphemeral', good)
    await eventually('hearing', () => heard.length > 0)
    expect(heard).toHaveLength(1)
  })

  it('is for members alone', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const send = (client: TestClient, id = convoId, epoch = 0) =>
      client.call('sendEphemeral', { convoId: id, epoch, ciphertext: messageFor(id, epoch) })
    expect((await send(bob)).status).toBe(200)
    await bob.ok('leaveConvo', { convoId })
    expectError(await send(bob), 'NotMember')
    expectError(await send(eve), 'ConvoNotFound')
    expectError(await send(eve, newGroupId()), 'ConvoNotFound')
    await alice.ok('addMembers', { convoId, didList: [bob.did], commit: commitFor(convoId, 0) })
    expect((await send(bob, convoId, 1)).status).toBe(200)
    await eventually('hearing', () => heard.length === 2)
    expect(heard.map(({ sender }) => sender)).toEqual([bob.did, bob.did])
  })
})

describe('sendEphemeral with a window of epochs', () => {
  const { people } = useServer({ ...MODES[2].env, MESSAGE_EPOCH_WINDOW: '1' })

  it('accepts as many past epochs as sendMessage does', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    for (const epoch of [0, 1]) await commit(alice, convoId, epoch)
    for (const method of ['sendEphemeral', 'sendMessage'] as const) {
      const statuses = []
      for (const epoch of [0, 1, 2, 3]) {
        const input = { convoId, epoch, ciphertext: messageFor(convoId, epoch) }
        statuses.push((await alice.call(method, input)).status)
      }
      expect(statuses).toEqual([409, 200, 200, 409])
    }
  })
})

describe('sendEphemeral with limits', () => {
  const { people } = useServer({ ...MODES[2].env, RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_SEND: '1' })

  it('has a limit of its own, ten each second', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
    await alice.ok('sendMessage', input)
    const { status, headers } = await alice.call('sendEphemeral', input)
    expect(status).toBe(200)
    expect(headers.get('ratelimit-policy')).toBe('10;w=1')
  })
})

/** All rows of all tables, bytes as hex. */
async function storedTexts(sql: ReturnType<SharedServer['sql']>): Promise<string> {
  const tables = await sql<{ name: string }[]>`
    select relname as name from pg_class
    where relkind = 'r' and relnamespace = current_schema()::regnamespace`
  const texts: string[] = []
  for (const { name } of tables) {
    const rows = await sql<{ text: string }[]>`select to_jsonb(t)::text as text from ${sql(name)} t`
    texts.push(...rows.map(({ text }) => text))
  }
  return texts.join('\n')
}
