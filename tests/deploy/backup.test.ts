import { audit } from '@catbird/api/audit/audit'
import { expect, it, onTestFinished } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { createConvo, messageFor } from '../support/convo.ts'
import { fileOf, useBackups } from '../support/deploy/backup-fixture.ts'
import { addMembers } from '../support/mls-changes.ts'
import { expectAgreement, mlsClients, texts } from '../support/mls-scenario.ts'
import { openSql } from '../support/postgres.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { openReader } from '../support/streams/stream-reader.ts'
import { newDid } from '../support/use-server.ts'

const backups = useBackups()

async function serve(url: string, port = '0'): Promise<TestServer> {
  const server = await startTestServer({ SHARD_COUNT: '1', SERVER_PORT: port }, { url, drop: async () => {} })
  onTestFinished(() => server.stop())
  return server
}

/** Sends one message after the other until it is stopped; `acknowledged` counts them. */
function keepSending(client: TestClient, convoId: string) {
  const sent = { acknowledged: 0, isStopped: false }
  const send = async () => {
    while (!sent.isStopped) {
      await client.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
      sent.acknowledged++
    }
  }
  const done = send()
  const stop = () => {
    sent.isStopped = true
    return done
  }
  return { sent, stop }
}

async function readPast(server: TestServer, client: TestClient, cursor: string) {
  const reader = await openReader('sse', { url: server.url, token: await client.token(), cursor })
  onTestFinished(() => reader.close())
  await reader.until('caughtUp')
  await reader.close()
  return reader.events
}

async function auditOf(url: string) {
  const sql = openSql(url)
  try {
    return await audit(sql)
  } finally {
    await sql.end()
  }
}

async function viewOf(client: TestClient, convoId: string) {
  const [convos, messages] = [await client.ok('getConvos'), await client.ok('getMessages', { convoId })]
  return { convos, messages }
}

it('a backup made while the server serves is restored, and everything goes on where it was', async () => {
  const before = await backups.newServerDatabase()
  const first = await serve(before)
  const { newClient, startGroup } = mlsClients(first)
  const { clients, groups } = await startGroup('alice', 'bob')
  const [alice, bob] = clients
  const dave = await newClient('dave')
  await groups[0].send('before the backup')
  await expectAgreement(...groups)
  // He has his Welcome still to fetch.
  await addMembers(groups[0], [dave.did])
  await groups[1].sync()
  const { convoId } = groups[0]
  const had = await readPast(first, first.as(bob.did), '0')
  const view = await viewOf(first.as(alice.did), convoId)

  const writer = first.as(newDid('writer'))
  const busy = await createConvo(writer, { epoch: 0 })
  const { sent, stop } = keepSending(writer, busy)
  await expect.poll(() => sent.acknowledged).toBeGreaterThan(20)
  const acknowledgedBefore = sent.acknowledged
  const file = fileOf(await backups.backUp(before, await backups.newDirectory()))
  const acknowledgedAfter = sent.acknowledged
  await stop()
  expect(acknowledgedAfter).toBeGreaterThan(acknowledgedBefore)
  await first.stop()

  const after = await backups.newDatabase()
  expect(await backups.restore(after, file)).toMatchObject({ code: 0, stderr: '' })
  expect(await auditOf(after)).toMatchObject({ violations: 0, conversations: 2 })

  const second = await serve(after, new URL(first.url).port)
  expect(await viewOf(second.as(alice.did), convoId)).toEqual(view)
  const { lastSeq } = await second.as(writer.did).ok('getEpoch', { convoId: busy })
  expect(lastSeq).toBeGreaterThanOrEqual(acknowledgedBefore)
  expect(lastSeq).toBeLessThanOrEqual(acknowledgedAfter + 1)

  const again = await readPast(second, second.as(bob.did), had.at(-1)!.cursor)
  expect(again[0]).toMatchObject({ type: 'infoEvent', info: 'OutdatedCursor' })
  expect(seqsIn(again)).toEqual(seqsIn(had))

  const joined = await dave.join(convoId)
  await joined.send('after the restore')
  const received = await expectAgreement(...groups, joined)
  expect(texts(received[0]!)).toEqual(['after the restore'])
  expect(await auditOf(after)).toMatchObject({ violations: 0 })
})

function seqsIn(events: Awaited<ReturnType<typeof readPast>>): number[] {
  return events.flatMap((event) => (event.type === 'messageEvent' ? [event.message.seq] : []))
}
