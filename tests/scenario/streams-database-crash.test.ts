import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { startOwnDatabaseServer } from '../support/streams/own-database-server.ts'
import { openReader, type StreamReader } from '../support/streams/stream-reader.ts'
import { newDid } from '../support/use-server.ts'

const ROUNDS = 4

describe('a stream while PostgreSQL crashes', () => {
  let database: TestDatabase
  let server: TestServer
  const readers: StreamReader[] = []

  beforeAll(async () => {
    database = await startOwnDatabaseServer()
    server = await startTestServer({ SHARD_COUNT: '1' }, database)
  })
  afterAll(async () => {
    for (const reader of readers) await reader.close()
    await server.stop()
    await database.drop()
  })

  /** Ends one backend as the kernel does when memory runs out: PostgreSQL then crashes as a whole and recovers. */
  async function crash(): Promise<void> {
    const sql = postgres(database.url, { max: 1, fetch_types: false })
    const [row] = await sql<[{ pid: number }]>`select pg_backend_pid() as pid`
    process.kill(row.pid, 'SIGKILL')
    await sql.end({ timeout: 1 }).catch(() => {})
    await vi.waitFor(async () => expect((await fetch(`${server.url}/health/ready`)).status).toBe(200), {
      timeout: 30_000,
      interval: 100,
    })
  }

  it('brings what is sent afterwards, although ids of before are given out again', async () => {
    const [alice, bob] = [server.as(newDid('alice')), server.as(newDid('bob'))]
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const send = () => alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    const open = async (cursor?: string) => {
      const reader = await openReader('sse', { url: server.url, token: await bob.token(), cursor })
      readers.push(reader)
      return reader
    }
    const live = await open()
    await live.until('caughtUp')
    for (let round = 0; round < ROUNDS; round++) {
      await vi.waitFor(send, { timeout: 20_000, interval: 100 })
      const { lastSeq } = await bob.ok('getEpoch', { convoId })
      await live.next((event) => event.type === 'messageEvent' && event.message.seq === lastSeq)
      // Each takes an id of which nothing reaches the disk.
      for (let i = 0; i < 5; i++) {
        await alice.ok('sendEphemeral', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
      }
      const fresh = await open()
      const { cursor } = await fresh.until('caughtUp')
      await fresh.close()
      await crash()
      const { seq } = await vi.waitFor(send, { timeout: 20_000, interval: 100 })
      const isIt = (event: { type: string; message?: { seq: number } }) => event.message?.seq === seq
      await live.next(isIt)
      const again = await open(cursor)
      await again.next(isIt)
      await again.close()
    }
    const seqs = live.events.flatMap((event) => (event.type === 'messageEvent' ? [event.message.seq] : []))
    expect(seqs).toEqual(seqs.map((_, i) => i + 1))
  })
})
