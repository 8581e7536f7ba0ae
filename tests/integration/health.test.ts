import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { expectError } from '../support/expect-error.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { MODES, startTestServer, type TestServer } from '../support/server.ts'
import { killShardThreads } from '../support/shard-threads.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { newDid, useServer } from '../support/use-server.ts'

const aVersion = expect.stringMatching(/^\d+\.\d+\.\d+/)

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function get(url: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const startedMs = performance.now()
  const response = await fetch(url)
  const body = (await response.json()) as Record<string, unknown>
  expect(performance.now() - startedMs).toBeLessThan(1500)
  return { status: response.status, body }
}

describe.each(MODES)('health, $name', ({ env }) => {
  const { people, server } = useServer(env)
  const isDirect = env.ENABLE_ACTOR_SYSTEM === 'false'

  it('tells the state of the whole and of each part', async () => {
    const [alice] = people('alice')
    for (let i = 0; i < 5; i++) await createConvo(alice)
    const { status, body } = await get(`${server().url}/health`)
    expect(status).toBe(200)
    const shards = Array.from(
      { length: Number(isDirect ? 0 : 'SHARD_COUNT' in env && env.SHARD_COUNT) },
      (_, shard) => ({
        shard,
        status: 'healthy',
        active_actors: expect.any(Number),
        mailbox_depth: 0,
      }),
    )
    const actors = { status: 'healthy', active_actors: 5, shards }
    expect(body).toEqual({
      status: 'healthy',
      timestamp: expect.any(Number),
      version: aVersion,
      checks: { database: 'healthy', memory: 'healthy', ...(!isDirect && { actors }) },
    })
    expect(Math.abs((body.timestamp as number) - Date.now() / 1000)).toBeLessThan(5)
  })

  it('tells that it is alive, ready, and of which version', async () => {
    const { url } = server()
    expect((await get(`${url}/health/live`)).status).toBe(200)
    expect(await get(`${url}/health/ready`)).toEqual({
      status: 200,
      body: { ready: true, checks: { database: true, ...(!isDirect && { actors: true }) } },
    })
    expect(await get(`${url}/xrpc/_health`)).toEqual({ status: 200, body: { version: aVersion } })
    expect((await fetch(`${url}/xrpc/_health`)).headers.get('cache-control')).toBe('no-store')
  })
})

describe.each([MODES[1], MODES[2]])('health while the database is away, $name', ({ env }) => {
  let database: TestDatabase
  let proxy: TcpProxy
  let server: TestServer
  beforeAll(async () => {
    database = await createTestDatabase()
    proxy = await TcpProxy.to(database.url)
    server = await startTestServer(
      { RATE_LIMIT_ENABLED: 'false', REQUEST_TIMEOUT_MS: '1000', ...env },
      { ...database, url: proxy.through(database.url) },
    )
  })
  afterAll(async () => {
    proxy.restore()
    await server.stop()
    proxy.stop()
    await database.drop()
  })

  it('is unhealthy and not ready, alive all the same, and as before once it is back', async () => {
    const alice = server.as(newDid('alice'))
    const convoId = await createConvo(alice, { epoch: 0 })
    const send = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), idempotencyKey: 'key' }
    proxy.cut()
    expect(await get(`${server.url}/health`)).toMatchObject({
      status: 503,
      body: { status: 'unhealthy', checks: { database: 'unhealthy', memory: 'healthy' } },
    })
    expect(await get(`${server.url}/health/ready`)).toMatchObject({
      status: 503,
      body: { ready: false, checks: { database: false } },
    })
    expect((await get(`${server.url}/health/live`)).status).toBe(200)
    expectError(await alice.call('getEpoch', { convoId }), 'DatabaseUnavailable')
    const refused = await alice.call('sendMessage', send)
    expect(['DatabaseUnavailable', 'OutcomeUnknown', 'Overloaded']).toContain(refused.body.error)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    proxy.restore()
    await eventually('readiness', async () => (await get(`${server.url}/health/ready`)).status === 200)
    await eventually('a write', async () => (await alice.call('sendMessage', send)).status === 200)
    expect(await alice.ok('getEpoch', { convoId })).toMatchObject({ lastSeq: 1 })
    expect((await get(`${server.url}/health`)).body.status).toBe('healthy')
  })
})

describe('health without shards', () => {
  const { people, server } = useServer({ ENABLE_ACTOR_SYSTEM: 'true', SHARD_COUNT: '2' })

  it('is unhealthy and not ready until they are back; reads go on', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    await killShardThreads()
    expect(await get(`${server().url}/health`)).toMatchObject({
      status: 503,
      body: {
        status: 'unhealthy',
        checks: {
          database: 'healthy',
          actors: {
            status: 'unhealthy',
            shards: [
              { shard: 0, status: 'unhealthy' },
              { shard: 1, status: 'unhealthy' },
            ],
          },
        },
      },
    })
    expect(await get(`${server().url}/health/ready`)).toEqual({
      status: 503,
      body: { ready: false, checks: { database: true, actors: false } },
    })
    await alice.ok('getEpoch', { convoId })
    const create = { groupId: newGroupId(), cipherSuite: 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256' }
    expectError(await alice.call('createConvo', create), 'Overloaded')
    await eventually('readiness', async () => (await get(`${server().url}/health/ready`)).status === 200)
    await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
  })
})

describe.each(MODES)('health while draining, $name', ({ env }) => {
  it('is not ready; what was accepted is finished, what comes finds nobody', async () => {
    const database = await createTestDatabase()
    const server = await startTestServer({ RATE_LIMIT_ENABLED: 'false', ...env }, database)
    const sql = openSql(database.url)
    const alice = server.as(newDid('alice'))
    const convoId = await createConvo(alice, { epoch: 0 })
    const send = () => alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    const begun = connect(Number(new URL(server.url).port), '127.0.0.1')
    begun.write('GET /health/ready HTTP/1.1\r\nHost: localhost\r\n')
    let sends: ReturnType<typeof send>[] = []
    let stopped: Promise<void> | undefined
    await sql.begin(async (transaction) => {
      await transaction`select from conversations where convo_id = ${convoId} for update`
      sends = Array.from({ length: 5 }, send)
      await sleep(300)
      stopped = server.stop()
      begun.write('\r\n')
      const [answer] = await once(begun, 'data')
      expect(String(answer)).toMatch(/^HTTP\/1.1 503 .*"ready":false/s)
      await expect(fetch(`${server.url}/health/live`)).rejects.toThrow()
    })
    const seqs = (await Promise.all(sends)).map(({ seq }) => seq)
    expect(seqs.toSorted()).toEqual([1, 2, 3, 4, 5])
    begun.destroy()
    await stopped
    await sql.end()
    await database.drop()
  })
})
