import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { startTestServer, testEnv } from '../support/server.ts'

const MAIN = fileURLToPath(new URL('../../packages/api/src/main.ts', import.meta.url))

describe('a server in trouble', () => {
  it('exits when its port is taken, and leaves nothing running', async () => {
    const database = await createTestDatabase()
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const env = {
      PATH: process.env.PATH,
      ...testEnv(database.url),
      SERVER_PORT: String(port),
      SHARD_COUNT: '2',
    }
    const child = spawn(process.execPath, [MAIN], { env, stdio: 'ignore' })
    const [code] = await once(child, 'exit')
    expect(code).toBe(1)
    taken.close()
    await database.drop()
  })

  it('keeps its shards when many ask for its health at once', async () => {
    const server = await startTestServer({ SHARD_COUNT: '2' })
    try {
      for (let round = 0; round < 5; round++) {
        const answers = await Promise.all(
          Array.from({ length: 100 }, () => fetch(`${server.url}/health`).then((answer) => answer.status)),
        )
        expect(new Set(answers)).toEqual(new Set([200]))
        await new Promise((resolve) => setTimeout(resolve, 300))
      }
      const metrics = await (await fetch(`${server.url}/metrics`)).text()
      expect(metrics).toMatch(/^shard_restarts_total\{.* 0$/m)
      expect(metrics).not.toMatch(/^shard_restarts_total\{.* [1-9]\d*$/m)
    } finally {
      await server.stop()
    }
  })

  it('serves every other conversation of a shard while somebody holds the rows of six', async () => {
    const server = await startTestServer({ SHARD_COUNT: '1' })
    const sql = postgres(server.databaseUrl, { max: 1 })
    const alice = server.as('did:plc:alice')
    const send = (convoId: string) =>
      alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    try {
      const held = await Promise.all(Array.from({ length: 6 }, () => createConvo(alice, { epoch: 0 })))
      const free = await createConvo(alice, { epoch: 0 })
      const waiting = await sql.begin(async (holder) => {
        await holder`select 1 from conversations where convo_id = any(${held}) for update`
        const sends = held.map(send)
        // Long enough for them to lose their guards and wait for the rows.
        await new Promise((resolve) => setTimeout(resolve, 300))
        for (let i = 0; i < 20; i++) expect((await send(free)).status).toBe(200)
        return { sends }
      })
      const statuses = await Promise.all(waiting.sends.map(async (answer) => (await answer).status))
      expect(statuses).toEqual(new Array(6).fill(200))
    } finally {
      await sql.end()
      await server.stop()
    }
  })
})
