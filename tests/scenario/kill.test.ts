import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import type { TestEnv } from '../support/server.ts'
import { ServerProcess } from '../support/server-process.ts'

const KILLS = 3
const CLIENTS = 8
const LOAD_MS = 700

type Acknowledged = { convoId: string; key: string; messageId: string; seq: number; ciphertext: unknown }

const MODES: { name: string; env: TestEnv }[] = [
  { name: 'actors', env: { SHARD_COUNT: '2' } },
  { name: 'direct', env: { ENABLE_ACTOR_SYSTEM: 'false' } },
]

describe.each(MODES)('kill -9 under load, $name', ({ env }) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createTestDatabase()
  })
  afterAll(() => database.drop())

  it('loses nothing that was acknowledged, and a retry with the same key returns the first answer', async () => {
    let server = await ServerProcess.start(database.url, env)
    const convos: string[] = []
    for (let i = 0; i < 4; i++) convos.push(await createConvo(server.as('did:plc:alice'), { epoch: 0 }))
    const acknowledged: Acknowledged[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      await loadUntilKilled(server, kill, convos, acknowledged)
      server = await ServerProcess.start(database.url, env)
    }
    const alice = server.as('did:plc:alice')
    for (const { convoId, key, messageId, seq, ciphertext } of acknowledged.slice(-50)) {
      const again = await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext, idempotencyKey: key })
      expect(again).toMatchObject({ messageId, seq })
    }
    expect(await server.end()).toBe(0)
    await expectStored(database.url, acknowledged)
  })
})

async function loadUntilKilled(
  server: ServerProcess,
  kill: number,
  convos: string[],
  acknowledged: Acknowledged[],
): Promise<void> {
  const alice = server.as('did:plc:alice')
  let isAlive = true
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    for (let i = 0; isAlive; i++) {
      const convoId = convos[(client + i) % convos.length]!
      const key = `${kill}-${client}-${i}`
      const ciphertext = messageFor(convoId, 0)
      try {
        const sent = await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext, idempotencyKey: key })
        acknowledged.push({ convoId, key, messageId: sent.messageId, seq: sent.seq!, ciphertext })
      } catch {
        // Cut off by the kill: it may be stored or not.
      }
    }
  })
  await new Promise((resolve) => setTimeout(resolve, LOAD_MS))
  await server.end('SIGKILL')
  isAlive = false
  await Promise.all(clients)
}

async function expectStored(url: string, acknowledged: Acknowledged[]): Promise<void> {
  const sql = postgres(url, { max: 1 })
  const rows =
    await sql`select convo_id, message_id, seq::integer as seq from log where kind = 'app' order by seq`
  const heads = await sql`select convo_id, seq::integer as seq from conversations`
  await sql.end()
  const stored = new Map(rows.map((row) => [row.message_id, row]))
  expect(acknowledged.length).toBeGreaterThan(100)
  for (const { convoId, messageId, seq } of acknowledged) {
    expect(stored.get(messageId)).toMatchObject({ convo_id: convoId, seq })
  }
  for (const { convo_id, seq } of heads) {
    const seqs = rows.filter((row) => row.convo_id === convo_id).map((row) => row.seq)
    expect(seqs).toEqual(Array.from({ length: seq }, (_, i) => i + 1))
  }
}
