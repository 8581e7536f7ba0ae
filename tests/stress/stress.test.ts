import { build } from 'hdr-histogram-js'
import postgres from 'postgres'
import { afterEach, describe, expect, it } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { createConvo, messageFor } from '../support/convo.ts'
import { MODES, startTestServer, type TestServer } from '../support/server.ts'

const isLong = process.env.STRESS === 'long'
const MINUTE = 60_000

let server: TestServer
afterEach(() => server.stop())

const modes = isLong ? MODES.slice(0, 1) : MODES

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const send = (alice: TestClient, convoId: string) =>
  alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })

async function createConvos(alice: TestClient, count: number): Promise<string[]> {
  const convos: string[] = []
  await inParallel(16, count, async () => void convos.push(await createConvo(alice, { epoch: 0 })))
  return convos
}

/** Runs `count` steps, `width` at a time. */
async function inParallel(width: number, count: number, step: (i: number) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await step(next++)
  }
  await Promise.all(Array.from({ length: width }, worker))
}

async function storedSeqs(): Promise<number[]> {
  const sql = postgres(server.databaseUrl, { max: 1 })
  const rows = await sql`select seq::integer as seq from conversations`
  await sql.end()
  return rows.map((row) => row.seq)
}

describe('stress', () => {
  const [convos, messages] = isLong ? [1000, 100] : [100, 10]
  it.each(modes)(
    `${convos} conversations × ${messages} messages all succeed, $name`,
    async ({ env }) => {
      server = await startTestServer(env)
      const alice = server.as('did:plc:alice')
      const convoIds = await createConvos(alice, convos)
      const histogram = build()
      const startedMs = performance.now()
      await inParallel(32, convos * messages, async (i) => {
        const sentMs = performance.now()
        await send(alice, convoIds[i % convos]!)
        histogram.recordValue(Math.round((performance.now() - sentMs) * 1000))
      })
      const seconds = (performance.now() - startedMs) / 1000
      expect(await storedSeqs()).toEqual(new Array(convos).fill(messages))
      const p99 = histogram.getValueAtPercentile(99) / 1000
      console.log(`${((convos * messages) / seconds).toFixed(0)} messages/s, p99 ${p99.toFixed(1)} ms`)
    },
    10 * MINUTE,
  )

  const sustainMs = isLong ? 10 * MINUTE : 5000
  it(
    `100 messages/s for ${sustainMs / 1000} s bring no error and no more actors`,
    async () => {
      server = await startTestServer({ SHARD_COUNT: '2' })
      const alice = server.as('did:plc:alice')
      const convoIds = await createConvos(alice, 50)
      const sends: Promise<unknown>[] = []
      const actors: number[] = []
      const startedMs = performance.now()
      for (let i = 0; i * 10 < sustainMs; i++) {
        await sleep(Math.max(0, startedMs + i * 10 - performance.now()))
        sends.push(send(alice, convoIds[i % convoIds.length]!))
        if (i % 100 === 99) actors.push(await activeActors())
      }
      await Promise.all(sends)
      expect(new Set(actors)).toEqual(new Set([convoIds.length]))
      expect((await storedSeqs()).reduce((sum, seq) => sum + seq, 0)).toBe(sends.length)
    },
    12 * MINUTE,
  )

  it('10 of 100 actors killed in mid-load lose nothing that was acknowledged', async () => {
    server = await startTestServer({ SHARD_COUNT: '10' })
    const alice = server.as('did:plc:alice')
    const convoIds = await createConvos(alice, 100)
    const acknowledged = new Map<string, Set<number>>(convoIds.map((id) => [id, new Set()]))
    let isLoading = true
    const workers = Array.from({ length: 16 }, async (_, w) => {
      for (let i = w; isLoading; i += 16) {
        const convoId = convoIds[i % convoIds.length]!
        const { status, body } = await alice.call('sendMessage', {
          convoId,
          epoch: 0,
          ciphertext: messageFor(convoId, 0),
        })
        if (status === 200) acknowledged.get(convoId)!.add(body.seq!)
        else expect(['OutcomeUnknown', 'Overloaded']).toContain(body.error)
      }
    })
    await sleep(500)
    // About a tenth of the actors live on each shard.
    await server.shards![3]!.terminate()
    await sleep(1500)
    isLoading = false
    await Promise.all(workers)
    expect(server.shards![3]!.state).toBe('up')
    await expectKept(acknowledged)
  }, 60_000)
})

async function activeActors(): Promise<number> {
  const response = await fetch(`${server.url}/health`)
  const report = (await response.json()) as { checks: { actors: { active_actors: number } } }
  return report.checks.actors.active_actors
}

async function expectKept(acknowledged: Map<string, Set<number>>): Promise<void> {
  const sql = postgres(server.databaseUrl, { max: 1 })
  const rows = await sql`select convo_id, seq::integer as seq from log where kind = 'app' order by seq`
  await sql.end()
  for (const [convoId, seqs] of acknowledged) {
    const stored = rows.filter((row) => row.convo_id === convoId).map((row) => row.seq)
    expect(stored).toEqual(Array.from({ length: stored.length }, (_, i) => i + 1))
    for (const seq of seqs) expect(seq).toBeLessThanOrEqual(stored.length)
  }
}
