import { sha256Hex } from '@catbird/shared/bytes'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { ServerProcess } from '../support/server-process.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 1500)
const PAIRS = [
  { name: 'actors and actors', envs: [{ SHARD_COUNT: '1' }, { SHARD_COUNT: '2' }] },
  { name: 'actors and direct', envs: [{ SHARD_COUNT: '1' }, { ENABLE_ACTOR_SYSTEM: 'false' }] },
] as const

const hashOf = (commit: { $bytes: string }) => sha256Hex(Buffer.from(commit.$bytes, 'base64'))

describe.each(PAIRS)('two processes on one database, $name', ({ envs }) => {
  let database: TestDatabase
  let servers: ServerProcess[]

  beforeAll(async () => {
    database = await createTestDatabase()
    servers = await Promise.all(envs.map((env) => ServerProcess.start(database.url, env)))
  })

  afterAll(async () => {
    const codes = await Promise.all(servers.map((server) => server.end()))
    await database.drop()
    expect(codes).toEqual([0, 0])
  })

  it(`of two commits for one epoch exactly one wins, ${ROUNDS} times, and the loser is told which`, async () => {
    const [one, two] = servers.map((server) => server.as('did:plc:alice')) as [
      ReturnType<ServerProcess['as']>,
      ReturnType<ServerProcess['as']>,
    ]
    const convoId = await createConvo(one, { epoch: 0 })
    const winners = [0, 0]
    for (let epoch = 0; epoch < ROUNDS; epoch++) {
      const commits = [commitFor(convoId, epoch), commitFor(convoId, epoch)] as const
      const answers = await Promise.all(
        [one, two].map((client, i) =>
          client.call('addMembers', { convoId, didList: [], commit: commits[i] }),
        ),
      )
      const won = answers.findIndex(({ status }) => status === 200)
      expect(answers.filter(({ status }) => status === 200).length, `epoch ${epoch}`).toBe(1)
      winners[won]!++
      expect(answers[won]!.body.newEpoch).toBe(epoch + 1)
      const { status, body } = answers[1 - won]!
      expect({ status, error: body.error, serverEpoch: body.serverEpoch }).toEqual({
        status: 409,
        error: 'EpochMismatch',
        serverEpoch: epoch + 1,
      })
      expect(body.winningCommit).toEqual({
        seq: epoch + 1,
        epoch: epoch + 1,
        sha256: hashOf(commits[won as 0 | 1]),
      })
    }
    const { currentEpoch } = await two.ok('getEpoch', { convoId })
    expect(currentEpoch).toBe(ROUNDS)
    console.log(`won by the first process ${winners[0]}, by the second ${winners[1]}`)
  })

  it('sends through both at once are all stored, once, without a hole', async () => {
    const clients = servers.map((server) => server.as('did:plc:alice'))
    const convoId = await createConvo(clients[0]!, { epoch: 0 })
    const sends = Array.from({ length: 300 }, (_, i) =>
      clients[i % 2]!.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }),
    )
    const seqs = (await Promise.all(sends)).map(({ seq }) => seq!).toSorted((a, b) => a - b)
    expect(seqs).toEqual(Array.from({ length: 300 }, (_, i) => i + 1))
  })

  it('one idempotency key through both at once has one effect and one answer', async () => {
    const clients = servers.map((server) => server.as('did:plc:alice'))
    const convoId = await createConvo(clients[0]!, { epoch: 0 })
    for (let round = 0; round < 50; round++) {
      const input = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0), idempotencyKey: `key-${round}` }
      const answers = await Promise.all([0, 1, 0, 1].map((i) => clients[i]!.ok('sendMessage', input)))
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    }
    expect((await clients[1]!.ok('getEpoch', { convoId })).lastSeq).toBe(50)
  })
})
