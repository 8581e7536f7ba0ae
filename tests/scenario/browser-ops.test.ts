import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { TestBrowser } from '../support/browser/test-browser.ts'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { ascending } from '../support/matchers.ts'
import { OPS_TOKEN } from '../support/ops/console-client.ts'
import { ConsolePage } from '../support/ops/console-page.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { ServerProcess } from '../support/server-process.ts'
import { newDid } from '../support/use-server.ts'

let browser: TestBrowser
let database: TestDatabase
let port: number
let server: ServerProcess

beforeAll(async () => {
  browser = await TestBrowser.start()
  database = await createTestDatabase()
  port = await freePort()
  server = await startServer()
})

afterAll(async () => {
  await browser?.stop()
  await server?.end()
  await database?.drop()
})

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port: found } = probe.address() as AddressInfo
  probe.close()
  return found
}

function startServer(env: Record<string, string> = {}): Promise<ServerProcess> {
  const base = {
    SHARD_COUNT: '4',
    SERVER_PORT: String(port),
    OPS_TOKEN,
    PUBLIC_URL: `http://127.0.0.1:${port}`,
  }
  return ServerProcess.start(database.url, { ...base, ...env })
}

async function openConsole(): Promise<ConsolePage> {
  const page = await browser.newPage()
  onTestFinished(() => page.close())
  const opened = await ConsolePage.open(page, server.url)
  onTestFinished(() => expect(opened.complaints).toEqual([]))
  return opened
}

/** Somebody who sends until the test is over, into one conversation more than into the others. */
async function putLoadOn() {
  const alice = server.as(newDid('alice'))
  const convos = await Promise.all(ascending(8).map(() => createConvo(alice, { epoch: 0 })))
  const [hot] = convos as [string]
  let isSending = true
  const sending = convos.map(async (convoId) => {
    while (isSending) {
      const send = () => alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
      await Promise.all(ascending(convoId === hot ? 8 : 1).map(send))
    }
  })
  onTestFinished(async () => {
    isSending = false
    await Promise.allSettled(sending)
  })
  return { hot, alice }
}

describe('the operator console in a browser', () => {
  it('lets nobody in without the token, and keeps who is in over a reload', async () => {
    const page = await openConsole()
    await page.logIn('not the token of the console at all')
    await page.says('#login-problem', /not the token/)
    await page.logIn()
    await page.isIn()
    await page.says('#about', /actors for 100 % of conversations on 4 shards/)
    await page.reload()
    await page.isIn()
    await page.logOut()
    await page.reload()
    await page.says('#login', /Log in/)
  })

  it('draws its charts, and its numbers move under load', async () => {
    const page = await openConsole()
    await page.logIn()
    await page.isIn()
    await eventually('a quiet server', async () => (await page.tile('Commands answered')) === 0, 20_000)
    expect(await page.tile('Shards up')).toBe(4)
    const { hot } = await putLoadOn()
    await eventually('commands', async () => (await page.tile('Commands answered')) > 0, 20_000)
    await eventually('actors', async () => (await page.tile('Actors in memory')) >= 8, 20_000)
    await page.says('#hot', new RegExp(hot.slice(0, 20)))
    await page.says('[data-chart="commandsPerS"] .u-legend', /shard \d:?\s*[1-9]/)
    const drawn = async () => {
      const pixels = await page.linePixels()
      const names = [
        'utilization',
        'commandsPerS',
        'answerMs',
        'mailbox',
        'actors',
        'batchRows',
        'batchMs',
        'heap',
      ]
      return names.every((name) => (pixels[name] ?? 0) > 20)
    }
    await eventually('a line in each chart', drawn, 20_000)
    await page.says('#shards', /^Shard.*0up.*1up.*2up.*3up/)
    expect(await page.text('#state')).toBe('live')
  })

  it('looks a conversation up and passivates its actor, which comes back with the next command', async () => {
    const page = await openConsole()
    await page.logIn()
    await page.isIn()
    const alice = server.as(newDid('alice'))
    const convoId = await createConvo(alice, { epoch: 0 })
    await alice.ok('addMembers', { convoId, didList: [newDid('bob')], commit: commitFor(convoId, 0) })
    await alice.call('addMembers', { convoId, didList: [], commit: commitFor(convoId, 0) })
    await page.says('#conflicts', /addMembers0 for 1actor/)
    await page.lookUp(convoId)
    await page.says('#convo', /In memory/)
    expect(await page.facts()).toMatchObject({
      Conversation: convoId,
      Epoch: '1',
      'Last seq': '1',
      Members: '2',
      'Runs in': expect.stringMatching(/^an actor on shard [0-3]$/),
      Mailbox: '0 commands, 0 bytes',
      'Last batch': expect.stringMatching(/1 row of 1 conversation in/),
    })
    expect(await page.text('#convo')).not.toContain('did:')
    await page.passivate()
    await page.says('#convo', /Not in memory.*The actor has left memory/)
    await alice.ok('sendMessage', { convoId, epoch: 1, ciphertext: messageFor(convoId, 1) })
    await page.lookUp(convoId)
    await page.says('#convo', /Last seq2.*In memory/)
  })

  it('shows what is in force, and no secret', async () => {
    const page = await openConsole()
    await page.logIn()
    await page.isIn()
    await page.says('#settings', /SHARD_COUNT4/)
    expect(await page.text('body')).not.toContain(OPS_TOKEN)
  })

  it('fits into a telephone and into a window', async () => {
    const page = await openConsole()
    await page.logIn()
    await page.isIn()
    for (const width of [360, 1280]) expect(await page.fits(width)).toBe(true)
  })

  it('drains the server after a typed confirmation, says when it is gone, and goes on when it is back', async () => {
    const page = await openConsole()
    await page.logIn()
    await page.isIn()
    expect(await page.askToDrain('drai')).toEqual({ canConfirm: false })
    await page.confirm()
    await page.says('#state', /live/)
    expect(await page.askToDrain('drain')).toEqual({ canConfirm: true })
    await page.confirm()
    await page.says('#notice', /The server does not answer\. What is below is \d+ s old/)
    expect(await server.end()).toBe(0)
    server = await startServer({ ENABLE_ACTOR_SYSTEM: 'false' })
    await page.says('#state', /live/)
    await page.says('#about', /actors off/)
    await page.says('#shards', /The actor system is off/)
  })
})
