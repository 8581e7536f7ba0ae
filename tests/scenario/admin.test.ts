import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { audit } from '@catbird/api/audit/audit'
import { METHODS } from '@catbird/api/methods/index'
import { describe, expect, it } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId, SUITE } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { expectError } from '../support/expect-error.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { publishDevice } from '../support/real-group.ts'
import { MODES, startTestServer } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

const ADMIN = fileURLToPath(new URL('../../packages/api/src/cli/admin.ts', import.meta.url))

/** Runs the tool as an operator does and gives what it printed. */
async function runAdmin(databaseUrl: string, ...args: string[]): Promise<string> {
  const tool = spawn(process.execPath, [ADMIN, ...args], {
    env: { PATH: process.env.PATH, DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  tool.stdout.on('data', (chunk) => {
    output += chunk
  })
  const [code] = await once(tool, 'close')
  expect(code).toBe(0)
  return output
}

describe.each(MODES)('npm run admin beside a running server, $name', ({ env }) => {
  const { people, server, sql } = useServer(env)

  const admin = (...args: string[]) => runAdmin(server().databaseUrl, ...args)
  const send = (client: TestClient, convoId: string, epoch: number) =>
    client.ok('sendMessage', {
      convoId,
      epoch,
      ciphertext: messageFor(convoId, epoch),
      idempotencyKey: newGroupId(),
    })

  it('erases a person while the others go on, who then commit the removal', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    const device = await publishDevice(alice)
    await publishDevice(alice)
    const convoId = await createConvo(alice, { initialMembers: [bob.did, carol.did], epoch: 0 })
    await send(alice, convoId, 0)
    await bob.ok('getMessages', { convoId })

    let isErased = false
    const erasing = admin('erase', alice.did, '--yes').finally(() => {
      isErased = true
    })
    const seqs: number[] = []
    while (!isErased) seqs.push((await send(bob, convoId, 0)).seq!)
    expect(await erasing).toMatch(/conversations left +1\n/)

    expect(seqs).toEqual(seqs.map((_, i) => i + 2))
    expectError(await alice.call('getEpoch', { convoId }), 'NotMember')
    expect((await bob.ok('getKeyPackages', { dids: [alice.did] })).missing).toEqual([alice.did])
    const [convo] = (await carol.ok('getConvos')).conversations
    expect(convo).toMatchObject({ id: convoId, creator: bob.did, epoch: 0 })
    expect(convo!.members.map(({ did }) => did)).toEqual([bob.did, carol.did])
    const removal = { convoId, targetDid: alice.did, commit: commitFor(convoId, 0) }
    expect(await carol.ok('leaveConvo', removal)).toMatchObject({ newEpoch: 1, seq: seqs.length + 2 })
    await send(bob, convoId, 1)
    const first = await carol.ok('getMessages', { convoId, sinceSeq: 0, limit: 1 })
    expect(first.messages).toMatchObject([{ sender: alice.did, seq: 1 }])

    // It was not blocked: it comes back like anybody else.
    const didList = [alice.did]
    await bob.ok('addMembers', { convoId, didList, commit: commitFor(convoId, 1) })
    await send(alice, convoId, 2)
    expect((await publishDevice(alice)).hash).not.toBe(device.hash)
    expect((await audit(sql())).first).toEqual([])
  })

  it('deletes what only that person was in, whose group id is not given again', async () => {
    const [alice, bob] = people('alice', 'bob')
    const { hash, ref } = await publishDevice(alice)
    const convoId = await createConvo(bob, {
      initialMembers: [alice.did],
      keyPackageHashes: [{ did: alice.did, hash }],
      idempotencyKey: 'create',
      epoch: 0,
    })
    await send(bob, convoId, 0)
    await send(alice, convoId, 0)
    await bob.ok('leaveConvo', { convoId, idempotencyKey: 'leave' })
    expect(await admin('convo', convoId)).toMatch(/members +1\n +entries kept +2\n/)
    const told = await admin('erase', alice.did)
    expect(told).toMatch(/conversations deleted +1 /)
    await send(alice, convoId, 0)

    expect(await admin('erase', alice.did, '--yes')).toMatch(/conversations deleted +1 /)
    expectError(
      await alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }),
      'ConvoNotFound',
    )
    expectError(await bob.call('getMessages', { convoId }), 'ConvoNotFound')
    const named = await bob.call('createConvo', {
      groupId: newGroupId(),
      cipherSuite: SUITE,
      initialMembers: [alice.did],
      keyPackageHashes: [{ did: alice.did, hash: ref }],
    })
    expectError(named, 'KeyPackageNotFound')
    expect((await audit(sql())).first).toEqual([])

    const again = await bob.call('createConvo', { groupId: convoId, cipherSuite: SUITE, epoch: 0 })
    expectError(again, 'GroupIdTaken')
  })
})

/** Three times what the tool promises: a busy machine must not decide. */
const WITHIN_MS = 6000

type Name = Parameters<TestClient['call']>[0]
const NAMES = Object.keys(METHODS).map((nsid) => nsid.slice(nsid.lastIndexOf('.') + 1) as Name)

/** Limits as they are by default: refusals tell them. */
describe('a blocked account', () => {
  const limited = { ...MODES[0].env, RATE_LIMIT_ENABLED: 'true' }
  const { people, server } = useServer(limited)

  it('is refused by every method while others are served, and let in again', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const statusOf = async (client: TestClient) => (await client.call('getEpoch', { convoId })).status
    expect([await statusOf(alice), await statusOf(bob)]).toEqual([200, 200])

    await runAdmin(server().databaseUrl, 'block', alice.did)
    await eventually('the block', async () => (await statusOf(alice)) === 403, WITHIN_MS)
    for (const name of NAMES) {
      const answer = await alice.call(name)
      expectError(answer, 'Forbidden')
      expect(answer.headers.get('ratelimit-limit'), name).toMatch(/^\d+$/)
      expect(answer.headers.get('ratelimit-remaining'), name).toMatch(/^\d+$/)
    }
    const message = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }
    expectError(await alice.call('sendMessage', message), 'Forbidden')
    expect(await bob.ok('sendMessage', { ...message, ciphertext: messageFor(convoId, 0) })).toMatchObject({
      seq: 1,
    })

    await runAdmin(server().databaseUrl, 'unblock', alice.did)
    await eventually('the end of the block', async () => (await statusOf(alice)) === 200, WITHIN_MS)
    expect(await alice.ok('sendMessage', message)).toMatchObject({ seq: 2 })
  })

  it('that was blocked before the start is refused from the first request on', async () => {
    const database = await createTestDatabase()
    try {
      const [alice, bob] = [newDid('alice'), newDid('bob')]
      await runAdmin(database.url, 'block', alice)
      const started = await startTestServer(limited, database)
      try {
        expectError(await started.as(alice).call('getConvos'), 'Forbidden')
        await started.as(bob).ok('getConvos')
      } finally {
        await started.stop()
      }
    } finally {
      await database.drop()
    }
  })
})
