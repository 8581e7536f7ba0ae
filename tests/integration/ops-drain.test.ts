import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { ascending } from '../support/matchers.ts'
import { ConsoleClient, OPS_TOKEN } from '../support/ops/console-client.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { MODES } from '../support/server.ts'
import { ServerProcess } from '../support/server-process.ts'
import { newDid } from '../support/use-server.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const isGone = (url: string) =>
  fetch(`${url}/health/live`).then(
    () => false,
    () => true,
  )

describe.each([MODES[1], MODES[2]])('draining from the console, $name', ({ env }) => {
  it('finishes what was accepted and ends with exit code 0', async () => {
    const server = await ServerProcess.start(database.url, { ...env, OPS_TOKEN })
    onTestFinished(async () => {
      await server.end('SIGKILL')
    })
    const alice = server.as(newDid('alice'))
    const convoId = await createConvo(alice, { epoch: 0 })
    const sends = ascending(100).map(() =>
      alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }).then(
        ({ status }) => status,
        () => 0,
      ),
    )
    await Promise.race(sends)
    const page = await ConsoleClient.loggedIn(server.url)
    const { status, body } = await page.call('POST', 'drain')
    expect({ status, body }).toEqual({ status: 202, body: { outcome: 'draining' } })
    const accepted = (await Promise.all(sends)).filter((answer) => answer === 200).length
    await eventually('the end', () => isGone(server.url))
    expect(await server.end()).toBe(0)
    const sql = openSql(database.url)
    onTestFinished(() => sql.end())
    const [stored] = await sql`select seq::integer as seq from conversations where convo_id = ${convoId}`
    expect(accepted).toBeGreaterThan(0)
    expect(stored!.seq).toBe(accepted)
  })
})
