import { ShardMap } from '@catbird/shared/shard-map'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { Scrape } from '../support/scrape.ts'
import { ServerProcess } from '../support/server-process.ts'

const SHARDS = 2
const BLOCK_SHARDS = new URL('../support/block-shards.ts', import.meta.url).href
const SHUTDOWN_TIMEOUT_MS = 60_000
/** Far more than it takes to notice and to start again. */
const RESTART_MS = 40_000

type Health = { status: string; checks: { actors: { shards: { shard: number; status: string }[] } } }

let database: TestDatabase
let server: ServerProcess
beforeAll(async () => {
  database = await createTestDatabase()
  server = await ServerProcess.start(database.url, {
    SHARD_COUNT: String(SHARDS),
    SHUTDOWN_TIMEOUT_MS: String(SHUTDOWN_TIMEOUT_MS),
    NODE_OPTIONS: `--import ${BLOCK_SHARDS}`,
  })
})
afterAll(async () => {
  await server?.end('SIGKILL')
  await database?.drop()
})

const alice = () => server.as('did:plc:alice')

/** A conversation that lives on the given shard. */
async function convoOn(shard: number): Promise<string> {
  for (;;) {
    const convoId = await createConvo(alice(), { epoch: 0 })
    if (new ShardMap(SHARDS).route(convoId) === shard) return convoId
  }
}

const send = (convoId: string) =>
  alice().call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })

async function health(): Promise<Health> {
  const response = await fetch(`${server.url}/health`, { signal: AbortSignal.timeout(2000) })
  return (await response.json()) as Health
}

/** Blocks the thread of a shard, and resolves with its number as soon as the server has noticed. */
async function blockShard(): Promise<number> {
  let blocked: Health['checks']['actors']['shards'] = []
  server.signal('SIGUSR2')
  await eventually('a silent shard', async () => {
    blocked = (await health()).checks.actors.shards.filter(({ status }) => status === 'unhealthy')
    return blocked.length > 0
  })
  expect(blocked).toHaveLength(1)
  return blocked[0]!.shard
}

/** No count is smaller, and none is gone. */
function expectNoneBack(before: Scrape, after: Scrape): void {
  const wentBack = [...before.counts].filter(([key, value]) => !((after.counts.get(key) ?? -1) >= value))
  expect(wentBack).toEqual([])
}

const hangs = (scrape: Scrape, shard: string) =>
  scrape.value('shard_restarts_total', { shard, reason: 'hung' })

describe('a shard whose thread is blocked', () => {
  it('is told by health and metrics at once, keeps nobody else waiting, and is started again', async () => {
    const convos = [await convoOn(0), await convoOn(1)]
    for (const convo of convos) expect((await send(convo)).status).toBe(200)
    const before = await Scrape.of(server.url)
    expect(before.value('shard_scrape_ok')).toBe(SHARDS)
    const blocked = await blockShard()
    const [shard, other] = [String(blocked), String(1 - blocked)]

    const during = await Scrape.of(server.url)
    // The scrape waited neither for the thread nor until it was given up.
    expect(during.value('shard_scrape_ok', { shard })).toBe(0)
    expect(during.value('shard_up', { shard })).toBe(1)
    expect(hangs(during, shard)).toBe(0)
    expect(during.value('shard_scrape_ok', { shard: other })).toBe(1)
    expectNoneBack(before, during)

    const waiting = send(convos[blocked]!)
    for (let i = 0; i < 10; i++) expect((await send(convos[1 - blocked]!)).status).toBe(200)
    expect(hangs(await Scrape.of(server.url), shard)).toBe(0)

    const { status, body } = await waiting
    expect({ status, error: body.error }).toEqual({ status: 503, error: 'OutcomeUnknown' })
    await eventually('a new life', async () => (await health()).status === 'healthy', RESTART_MS)
    expect((await send(convos[blocked]!)).status).toBe(200)
    const after = await Scrape.of(server.url)
    expect(hangs(after, shard)).toBe(1)
    expect(after.value('shard_restarts_total')).toBe(1)
    expect(after.value('shard_scrape_ok')).toBe(SHARDS)
    expectNoneBack(during, after)
  })

  it('does not keep the server from ending', async () => {
    await blockShard()
    const startedMs = performance.now()
    expect(await server.end('SIGTERM')).toBe(0)
    expect(performance.now() - startedMs).toBeLessThan(SHUTDOWN_TIMEOUT_MS / 2)
  })
})
