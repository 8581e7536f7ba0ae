import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import type { TestEnv } from '../support/server.ts'
import { ServerProcess } from '../support/server-process.ts'

/** How an operator takes the actors back and out again, and changes the number of shards, under load. */
const STEPS: TestEnv[] = [
  { SHARD_COUNT: '2' },
  { ENABLE_ACTOR_SYSTEM: 'false' },
  { SHARD_COUNT: '5', ACTOR_ROLLOUT_PERCENT: '50' },
  { SHARD_COUNT: '3' },
]
const STEP_MS = 800
const CONVOS = 12
const RETRYABLE = ['OutcomeUnknown', 'Overloaded', 'ShuttingDown', 'DatabaseUnavailable']

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

describe('switching executors and shard counts under load', () => {
  it('loses and doubles nothing, and clients see retryable errors only', async () => {
    let server = await ServerProcess.start(database.url, STEPS[0])
    const convoIds: string[] = []
    for (let i = 0; i < CONVOS; i++) {
      convoIds.push(await createConvo(server.as('did:plc:alice'), { epoch: 0 }))
    }
    const load = { alice: () => server.as('did:plc:alice'), isOver: false }
    const members = convoIds.map((convoId) => chat(load, convoId))
    for (const step of STEPS.slice(1)) {
      await new Promise((resolve) => setTimeout(resolve, STEP_MS))
      expect(await server.end()).toBe(0)
      server = await ServerProcess.start(database.url, step)
    }
    await new Promise((resolve) => setTimeout(resolve, STEP_MS))
    load.isOver = true
    const results = await Promise.all(members)
    for (const [i, { commits, messages }] of results.entries()) {
      const convoId = convoIds[i]!
      const seen = await all(server.as('did:plc:alice'), convoId)
      expect(seen.map(({ seq }) => seq)).toEqual(seen.map((_, k) => k + 1))
      const epochs = seen.filter(({ messageType }) => messageType === 'commit').map(({ epoch }) => epoch)
      expect(epochs).toEqual(Array.from({ length: commits }, (_, k) => k + 1))
      const ids = seen.filter(({ messageType }) => messageType === 'app').map(({ id }) => id)
      expect(ids).toEqual(messages)
    }
    expect(await server.end()).toBe(0)
  })
})

type Load = { alice(): TestClient; isOver: boolean }

/** One member: message, message, commit, and so on; each is retried with its key until it is answered. */
async function chat(load: Load, convoId: string): Promise<{ commits: number; messages: string[] }> {
  const messages: string[] = []
  let epoch = 0
  for (let i = 0; !load.isOver; i++) {
    const isCommit = i % 3 === 2
    const body = isCommit
      ? { convoId, didList: [], commit: commitFor(convoId, epoch) }
      : { convoId, epoch, ciphertext: messageFor(convoId, epoch) }
    const answer = await insist(load, isCommit ? 'addMembers' : 'sendMessage', {
      ...body,
      idempotencyKey: `${convoId}-${i}`,
    })
    if (isCommit) epoch = answer.newEpoch as number
    else messages.push(answer.messageId as string)
  }
  return { commits: epoch, messages }
}

async function insist(
  load: Load,
  method: 'addMembers' | 'sendMessage',
  input: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  for (let tries = 0; tries < 200; tries++) {
    const answer = await load
      .alice()
      .call(method, input)
      .catch(() => undefined)
    if (answer?.status === 200) return answer.body
    if (answer) expect(RETRYABLE).toContain(answer.body.error)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('never answered')
}

async function all(alice: TestClient, convoId: string) {
  const entries = []
  for (let sinceSeq = 0; ; ) {
    const { messages } = await alice.ok('getMessages', { convoId, sinceSeq, limit: 100 })
    if (messages.length === 0) return entries
    entries.push(...messages)
    sinceSeq = messages.at(-1)!.seq
  }
}
