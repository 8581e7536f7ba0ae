import { ShardMap } from '@catbird/shared/shard-map'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

const SHARDS = 2

let server: TestServer
let sql: ReturnType<typeof postgres>

beforeAll(async () => {
  server = await startTestServer({ SHARD_COUNT: String(SHARDS) })
  sql = postgres(server.databaseUrl, { max: 2 })
})
afterAll(async () => {
  await sql.end()
  await server.stop()
})

/** A conversation that lives on the given shard. */
async function convoOn(shard: number): Promise<string> {
  for (;;) {
    const convoId = await createConvo(server.as('did:plc:alice'), { epoch: 0 })
    if (new ShardMap(SHARDS).route(convoId) === shard) return convoId
  }
}

const send = (convoId: string) =>
  server.as('did:plc:alice').call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })

async function waitUntilUp(shard: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (server.shards![shard]!.state === 'up') return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('the shard did not come back')
}

describe('G12 a shard that dies', () => {
  it('costs its own callers their answer, is back within the back-off, and the others do not notice', async () => {
    const [doomed, other] = [await convoOn(0), await convoOn(1)]
    expect((await send(doomed)).status).toBe(200)
    // Whoever holds the row keeps the next command of this conversation waiting.
    await sql.begin(async (holder) => {
      await holder`select 1 from conversations where convo_id = ${doomed} for update`
      const waiting = send(doomed)
      await new Promise((resolve) => setTimeout(resolve, 100))
      const others = Array.from({ length: 20 }, () => send(other))
      await server.shards![0]!.terminate()
      const { status, headers, body } = await waiting
      expect({ status, error: body.error }).toEqual({ status: 503, error: 'OutcomeUnknown' })
      expect(headers.get('Retry-After')).toBe('1')
      const refused = await send(doomed)
      expect({ status: refused.status, error: refused.body.error }).toEqual({
        status: 503,
        error: 'Overloaded',
      })
      for (const { status } of await Promise.all(others)) expect(status).toBe(200)
    })
    await waitUntilUp(0)
    const after = await send(doomed)
    expect(after.status).toBe(200)
    expect(after.body.seq).toBeLessThanOrEqual(3)
    const { messages } = await server.as('did:plc:alice').ok('getMessages', { convoId: doomed, sinceSeq: 0 })
    expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, i) => i + 1))
  })

  it('is not ready and partly healthy while it is down, and counted', async () => {
    await server.shards![1]!.terminate()
    const ready = await fetch(`${server.url}/health/ready`)
    expect(ready.status).toBe(503)
    const health = (await (await fetch(`${server.url}/health`)).json()) as { checks: { actors: unknown } }
    expect(health.checks.actors).toMatchObject({ status: 'degraded' })
    await waitUntilUp(1)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toMatch(/^shard_restarts_total\{shard="1",reason="terminated"\} 1$/m)
    expect(metrics).toMatch(/^shard_up\{shard="1"\} 1$/m)
  })
})
