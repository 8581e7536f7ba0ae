import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ExamplePage, exampleHtml } from '../support/browser/example-page.ts'
import { expectNothingMissed } from '../support/browser/seams.ts'
import { StreamPage } from '../support/browser/stream-page.ts'
import { TestBrowser } from '../support/browser/test-browser.ts'
import { createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { ServerProcess } from '../support/server-process.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { newDid } from '../support/use-server.ts'

let browser: TestBrowser
let database: TestDatabase
/** The browser's server stands behind a way that can be cut; writers use another process. */
let server: ServerProcess
let way: TcpProxy
let publicUrl: string
let writers: ServerProcess
let startServer: () => Promise<ServerProcess>

beforeAll(async () => {
  browser = await TestBrowser.start()
  database = await createTestDatabase()
  const port = await freePort()
  const address = `http://127.0.0.1:${port}`
  way = await TcpProxy.to(address)
  publicUrl = new URL(way.through(address)).origin
  startServer = () =>
    ServerProcess.start(database.url, { SHARD_COUNT: '1', SERVER_PORT: String(port), PUBLIC_URL: publicUrl })
  server = await startServer()
  writers = await ServerProcess.start(database.url, { ENABLE_ACTOR_SYSTEM: 'false' })
})

afterAll(async () => {
  await browser?.stop()
  way?.stop()
  await Promise.all([server?.end(), writers?.end()])
  await database?.drop()
})

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  return port
}

async function openPage(): Promise<StreamPage> {
  const page = await StreamPage.open(browser, publicUrl)
  onTestFinished(() => page.close())
  return page
}

async function openExample(token: string, url?: string): Promise<ExamplePage> {
  const page = await browser.newPage()
  onTestFinished(() => page.close())
  return ExamplePage.open(page, url ?? browser.serve(exampleHtml(publicUrl)), token)
}

/** A conversation of somebody who writes and somebody who reads in the browser. */
async function newChat() {
  const [alice, bob] = [writers.as(newDid('alice')), writers.as(newDid('bob'))]
  const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
  let sent = 0
  const send = async (count: number) => {
    const ciphertexts = Array.from({ length: count }, () => messageFor(convoId, 0))
    for (const ciphertext of ciphertexts) await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext })
    sent += count
    return ciphertexts
  }
  return { bob, convoId, send, lastSeq: () => sent }
}

const messagesIn = (events: readonly StreamEvent[]) =>
  events.flatMap((event) => (event.type === 'messageEvent' ? [event.message] : []))
const seqsIn = (events: readonly StreamEvent[]) => messagesIn(events).map(({ seq }) => seq)
const infosIn = (events: readonly StreamEvent[]) =>
  events.flatMap((event) => (event.type === 'infoEvent' ? [event.info] : []))
const cameTo = (what: string, seqs: () => Promise<number[]> | number[], last: number) =>
  eventually(what, async () => (await seqs()).includes(last), 20_000)

describe('a page of another origin', () => {
  it('gets by EventSource and a ticket what another member sends, in order', async () => {
    const { bob, convoId, send } = await newChat()
    const page = await openPage()
    await page.openEvents((await page.takeTicket(bob)).ticket)
    await page.caughtUp()
    const ciphertexts = await send(30)
    await cameTo('the last message', () => seqsIn(page.events), 30)
    expect(messagesIn(page.events)).toMatchObject(
      ciphertexts.map((ciphertext, i) => ({ convoId, seq: i + 1, ciphertext })),
    )
  })

  it('gets the same by WebSocket, at the address that came with the ticket, and goes on after a cut', async () => {
    const { bob, convoId, send, lastSeq } = await newChat()
    const page = await openPage()
    const first = await page.takeTicket(bob)
    expect(first.url).toMatch(/^ws:/)
    await page.openSocket(first.url)
    await page.caughtUp()
    const ciphertexts = await send(20)
    await cameTo('the last message', () => seqsIn(page.events), 20)
    way.cut()
    ciphertexts.push(...(await send(20)))
    way.restore()
    await eventually('the end of the socket', () => page.turns.some(({ kind }) => kind === 'close'))
    await page.openSocket((await page.takeTicket(bob)).url, page.events.at(-1)!.cursor)
    await page.caughtUp(2)
    ciphertexts.push(...(await send(10)))
    await cameTo('the last message of all', () => seqsIn(page.events), lastSeq())
    expectNothingMissed(seqsIn(page.events), { last: lastSeq(), streams: 2 })
    for (const message of messagesIn(page.events)) {
      expect(message).toMatchObject({ convoId, ciphertext: ciphertexts[message.seq - 1] })
    }
  })

  it('is refused a second stream with one ticket, whichever kind it is', async () => {
    const { bob, send } = await newChat()
    const page = await openPage()
    const { ticket, url } = await page.takeTicket(bob)
    await page.openEvents(ticket)
    await page.caughtUp()
    await page.openEvents(ticket)
    await eventually('the refusal', () => page.answers.length === 2)
    expect(page.answers.map(({ status }) => status)).toEqual([200, 401])
    await eventually('its error', () => page.turns.length === 1)
    await page.openSocket(url)
    await eventually('the end of the socket', () => page.turns.length === 2)
    // A socket that was never open: all that a page is told of a refusal.
    expect(page.turns).toEqual([
      { kind: 'error', isClosed: true },
      { kind: 'close', code: 1006 },
    ])
    await send(1)
    await cameTo('a message on the first stream', () => seqsIn(page.events), 1)
  })

  it('finds that its EventSource cannot come back by itself: the ticket is used', async () => {
    const { bob, send } = await newChat()
    const page = await openPage()
    await page.openEvents((await page.takeTicket(bob)).ticket)
    await page.caughtUp()
    await send(1)
    await cameTo('the message', () => seqsIn(page.events), 1)
    way.cut()
    way.restore()
    await eventually('the browser gives up', () => page.turns.length === 2, 20_000)
    expect(page.turns).toEqual([
      { kind: 'error', isClosed: false },
      { kind: 'error', isClosed: true },
    ])
    await eventually('its answer', () => page.answers.length === 2)
    // It does say where it was: with a ticket of its own that position would do.
    expect(page.answers[1]).toEqual({ status: 401, lastEventId: page.events.at(-1)!.cursor })
  })
})

describe('the example page of the README', () => {
  it('shows from a file what was sent and what is being sent', async () => {
    const { bob, send } = await newChat()
    const directory = await mkdtemp(join(tmpdir(), 'catbird-example-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const file = join(directory, 'chat.html')
    await writeFile(file, exampleHtml(publicUrl))
    await send(3)
    const example = await openExample(await bob.token(), pathToFileURL(file).href)
    await cameTo('what was sent', async () => seqsIn(await example.events()), 3)
    await send(2)
    await cameTo('what is being sent', async () => seqsIn(await example.events()), 5)
    expect(seqsIn(await example.events())).toEqual([1, 2, 3, 4, 5])
  })

  it('says what is wrong with a token', async () => {
    const example = await openExample('no token')
    await eventually('the refusal', async () => /"error":"\w+Token"/.test(await example.text()))
  })

  it('takes a new ticket and goes on from its cursor whenever its connection is cut', async () => {
    const { bob, send, lastSeq } = await newChat()
    const example = await openExample(await bob.token())
    for (let cut = 0; cut < 3; cut++) {
      const sending = send(100)
      await cameTo('some of it', async () => seqsIn(await example.events()), cut * 100 + 30)
      way.cut()
      await sending
      way.restore()
    }
    await cameTo('what was sent meanwhile', async () => seqsIn(await example.events()), lastSeq())
    expectNothingMissed(seqsIn(await example.events()), { last: lastSeq(), streams: 4 })
  })

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'goes on from its cursor when its server ends by %s and starts again',
    async (signal) => {
      const { bob, send, lastSeq } = await newChat()
      const example = await openExample(await bob.token())
      await send(30)
      await cameTo('what was sent', async () => seqsIn(await example.events()), lastSeq())
      const [code] = await Promise.all([server.end(signal), example.hasAskedInVain(), send(20)])
      expect(code).toBe(signal === 'SIGTERM' ? 0 : null)
      const isTold = infosIn(await example.events()).includes('ShuttingDown')
      expect(isTold).toBe(signal === 'SIGTERM')
      server = await startServer()
      await send(5)
      await cameTo('what was sent meanwhile', async () => seqsIn(await example.events()), lastSeq())
      expectNothingMissed(seqsIn(await example.events()), { last: lastSeq(), streams: 2 })
    },
  )
})
