import { setTimeout as sleep } from 'node:timers/promises'
import { openPool } from '@catbird/shared/sql'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { commitFor, createConvo, messageFor } from '../../../../tests/support/convo.ts'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { startTestServer, type TestServer } from '../../../../tests/support/server.ts'
import { cleanUp } from '../jobs/clean-up.ts'
import { audit } from './audit.ts'
import { ALICE, BOB, DAY_MS, History, TTL_MS } from './history.fixture.ts'

const AUDITS = 20
const WORKERS = 6
/** Of all workers: fewer would be no load. */
const MIN_ROUNDS = 60

let database: TestDatabase
let server: TestServer
let isRunning = true
let rounds = 0
beforeAll(async () => {
  database = await createTestDatabase()
  server = await startTestServer({ SHARD_COUNT: '2' }, database)
})
afterAll(async () => {
  await server.stop()
  await database.drop()
})

it('finds nothing wrong while commands run and messages expire', async () => {
  const sql = openPool(database.url, { max: 2, name: 'audit', statementTimeoutMs: 5000 })
  const workers = [
    ...Array.from({ length: WORKERS }, (_, index) => converse(index)),
    expire(),
    whileRunning(() => cleanUp(sql)),
  ]
  const working = Promise.all(workers)
  try {
    for (let i = 0; i < AUDITS || rounds < MIN_ROUNDS; i++) {
      const transactionMs = i % 2 === 0 ? 0 : undefined
      const report = await Promise.race([
        audit(sql, { messageTtlMs: TTL_MS, transactionMs }),
        working.then(fail),
      ])
      expect(report.first).toEqual([])
    }
  } finally {
    isRunning = false
    await Promise.allSettled(workers)
    await sql.end()
  }
  await working
})

function fail(): never {
  throw new Error('the load ended before the audits')
}

async function whileRunning(work: (round: number) => Promise<unknown>): Promise<void> {
  for (let round = 0; isRunning; round++) await work(round)
}

/** A conversation whose second member comes and goes. */
async function converse(index: number): Promise<void> {
  const [alice, bob] = [server.as(ALICE), server.as(BOB)]
  const convoId = await createConvo(alice, { epoch: 0 })
  await whileRunning(async (round) => {
    const ended = 2 * round
    const epoch = ended + 1
    await alice.ok('addMembers', { convoId, didList: [bob.did], commit: commitFor(convoId, ended) })
    const message = {
      convoId,
      epoch,
      ciphertext: messageFor(convoId, epoch),
      idempotencyKey: `${index} ${round}`,
    }
    await Promise.all([alice, bob].map((sender) => sender.ok('sendMessage', message)))
    await bob.ok('getMessages', { convoId })
    await bob.ok('leaveConvo', { convoId })
    await alice.ok('leaveConvo', { convoId, targetDid: bob.did, commit: commitFor(convoId, epoch) })
    rounds++
  })
}

/** Conversations with messages that have had their time before they are stored. */
async function expire(): Promise<void> {
  const history = new History(database.url, Date.now() - 50 * DAY_MS)
  await whileRunning(async (round) => {
    const convoId = `ee${round.toString(16).padStart(8, '0')}`
    const started = { cipherSuite: 's', initialMembers: [BOB], epoch: 0 }
    await history.run({ type: 'createConvo', convoId, caller: ALICE, ...started })
    for (let i = 0; i < 5; i++) await history.send(convoId, i % 2 === 0 ? ALICE : BOB, 0)
    await history.run({ type: 'leaveConvo', convoId, caller: BOB, target: BOB })
    for (let i = 0; i < 2; i++) await history.send(convoId, ALICE, 0)
    // Each is one more to audit.
    await sleep(100)
  })
  await history.close()
}
