import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { expectError } from '../support/expect-error.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { Scrape } from '../support/scrape.ts'
import { MODES, startTestServer, type TestServer } from '../support/server.ts'
import { openReader, type ReaderKind, type ReaderOptions } from '../support/streams/stream-reader.ts'
import { StreamRefused } from '../support/streams/transport.ts'
import { newDid } from '../support/use-server.ts'

type Options = Partial<ReaderOptions>

const KINDS = ['sse', 'socket'] as const

/** What a request for a stream is answered with. */
async function statusOf(kind: ReaderKind, url: string): Promise<number> {
  if (kind === 'sse') {
    const response = await fetch(url)
    await response.body!.cancel()
    return response.status
  }
  const socket = new WebSocket(url.replace('http', 'ws'))
  socket.on('error', () => {})
  const opened = once(socket, 'upgrade').then(([answer]) => answer)
  const refused = once(socket, 'unexpected-response').then(([, answer]) => answer)
  const { statusCode } = await Promise.race([opened, refused])
  socket.terminate()
  return statusCode
}

describe.each(KINDS)('a stream over %s with a ticket', (kind) => {
  let database: TestDatabase
  let sql: ReturnType<typeof openSql>
  /** Two processes, as far as the database knows. */
  let servers: TestServer[]
  beforeAll(async () => {
    database = await createTestDatabase()
    sql = openSql(database.url)
    servers = [await startTestServer(MODES[2].env, database), await startTestServer(MODES[0].env, database)]
  })
  afterAll(async () => {
    await sql?.end()
    await Promise.all((servers ?? []).map((server) => server.stop()))
    await database?.drop()
  })
  const newClient = (name: string) => servers[0]!.as(newDid(name))
  const open = async (options: Options, by: ReaderKind = kind, server = servers[0]!) => {
    const reader = await openReader(by, { url: server.url, ...options })
    onTestFinished(() => reader.close())
    return reader
  }
  const refusal = async (...args: Parameters<typeof open>) => {
    const refused = await open(...args).catch((error: unknown) => error)
    if (refused instanceof StreamRefused) return refused
    throw new Error('not refused', { cause: refused })
  }
  const ticketFor = async (client: ReturnType<typeof newClient>, input: { convoId?: string } = {}) =>
    (await client.ok('getSubscriptionTicket', input)).ticket

  it('opens once, whoever tries again, wherever and however', async () => {
    const alice = newClient('alice')
    const ticket = await ticketFor(alice)
    await (await open({ ticket })).until('caughtUp')
    for (const server of servers) {
      for (const by of KINDS) expectError(await refusal({ ticket }, by, server), 'InvalidToken')
    }
    await (await open({ ticket: await ticketFor(alice) }, kind, servers[1])).until('caughtUp')
  })

  it('opens once for many that try at once on two processes', async () => {
    const alice = newClient('alice')
    for (let round = 0; round < 5; round++) {
      const ticket = await ticketFor(alice)
      const tries = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) => open({ ticket }, KINDS[(i >> 1) % 2], servers[i % 2])),
      )
      const opened = tries.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      expect(opened).toHaveLength(1)
      await opened[0]!.until('caughtUp')
      await opened[0]!.close()
    }
  })

  it('is of the caller that the ticket was issued to, and of the stream', async () => {
    const [alice, bob] = [newClient('alice'), newClient('bob')]
    const input = { epoch: 0, initialMembers: [bob.did] }
    const [convoId, other] = [await createConvo(alice, input), await createConvo(alice, { epoch: 0 })]
    const [one, all] = [await ticketFor(alice, { convoId }), await ticketFor(bob)]
    for (const options of [{}, { convoId: other }]) {
      expectError(await refusal({ ticket: one, ...options }), 'InvalidToken')
    }
    expectError(await refusal({ ticket: all, convoId }), 'InvalidToken')
    // For who was refused they are as good as before.
    const readers = [await open({ ticket: one, convoId }), await open({ ticket: all })]
    for (const reader of readers) await reader.until('caughtUp')
    for (const id of [other, convoId]) {
      await alice.ok('sendMessage', { convoId: id, epoch: 0, ciphertext: messageFor(id, 0) })
    }
    for (const reader of readers) {
      const message = await reader.next(({ type }) => type === 'messageEvent')
      expect(message).toMatchObject({ message: { convoId } })
    }
  })

  it('is refused when the ticket has expired, or is none', async () => {
    const alice = newClient('alice')
    const ticket = await ticketFor(alice)
    await sql`update tickets set expires_at = now() - interval '1 millisecond'`
    const failures = async (reason: string) =>
      (await Scrape.of(servers[0]!.url)).value('auth_failures_total', { reason })
    const before = { ticket: await failures('ticket'), malformed: await failures('malformed') }
    for (const bad of [ticket, 'A'.repeat(43)]) expectError(await refusal({ ticket: bad }), 'InvalidToken')
    expect(await failures('ticket')).toBe(before.ticket + 2)
    for (const bad of ['', 'x', ticket.slice(1), `${ticket}A`, 'é'.repeat(43)]) {
      expectError(await refusal({ ticket: bad }), 'InvalidToken')
    }
    expect(await failures('malformed')).toBe(before.malformed + 5)
    expectError(await refusal({ ticket: 'A'.repeat(2000) }), 'InvalidToken')
  })

  it('takes convo_id as well as convoId', async () => {
    const alice = newClient('alice')
    const [convoId, other] = [await createConvo(alice, { epoch: 0 }), await createConvo(alice, { epoch: 0 })]
    const ticket = await ticketFor(alice, { convoId })
    const urlFor = (id: string) => {
      const method = { sse: 'streamConvoEvents', socket: 'subscribeConvoEvents' }[kind]
      return `${servers[0]!.url}/xrpc/blue.catbird.mls.${method}?ticket=${ticket}&convo_id=${id}`
    }
    expect(await statusOf(kind, urlFor(other))).toBe(401)
    expect(await statusOf(kind, urlFor(convoId))).toBe({ sse: 200, socket: 101 }[kind])
  })

  it('opens streams and nothing else', async () => {
    const ticket = await ticketFor(newClient('alice'))
    const url = `${servers[0]!.url}/xrpc/blue.catbird.mls.getConvos?ticket=${ticket}`
    expect((await fetch(url)).status).toBe(401)
    await (await open({ ticket })).until('caughtUp')
  })

  it('is not for the blocked, and not beside a token', async () => {
    const alice = newClient('alice')
    const [first, second] = [await ticketFor(alice), await ticketFor(alice)]
    expectError(await refusal({ ticket: first, token: 'a.b.c' }), 'InvalidToken')
    await (await open({ ticket: first })).until('caughtUp')
    await sql`insert into blocked_dids (did) values (${alice.did})`
    await eventually('the block', async () => (await alice.call('getConvos')).status === 403)
    expectError(await refusal({ ticket: second }), 'Forbidden')
  })

  it('is refused for a while to an address that tries too many', async () => {
    const server = await startTestServer(
      { ...MODES[2].env, RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_FAILED_AUTH: '3' },
      database,
    )
    onTestFinished(() => server.stop())
    const ticket = await ticketFor(newClient('alice'))
    for (let i = 0; i < 3; i++) {
      expectError(await refusal({ ticket: 'A'.repeat(43) }, kind, server), 'InvalidToken')
    }
    for (const one of ['A'.repeat(43), ticket]) {
      expectError(await refusal({ ticket: one }, kind, server), 'RateLimitExceeded')
    }
    await (await open({ ticket })).until('caughtUp')
  })

  it('leaves no trace of tickets, cursors, names and messages in logs and metrics', async () => {
    const [alice, bob] = [newClient('alice'), newClient('bob')]
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const used = await ticketFor(bob, { convoId })
    const reader = await open({ ticket: used, convoId, cursor: '0' })
    const ciphertext = messageFor(convoId, 0)
    await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext })
    const message = await reader.next(({ type }) => type === 'messageEvent')
    await refusal({ ticket: used, convoId, cursor: message.cursor })
    await refusal({ ticket: await ticketFor(bob), cursor: `${message.cursor}A` })
    await reader.close()
    const lines = servers.flatMap(({ logs }) => logs.map((line) => JSON.stringify(line)))
    const scrapes = await Promise.all(servers.map(async ({ url }) => (await Scrape.of(url)).text))
    expect(scrapes.join()).not.toMatch(/did:/)
    const text = [...lines, ...scrapes].join('\n')
    for (const trace of [used, message.cursor, ciphertext.$bytes])
      expect(text).not.toContain(trace.slice(0, 40))
    const loud = lines.filter((line) => !/"level":"(DEBUG|TRACE)"/.test(line)).join('\n')
    for (const { did } of [alice, bob]) expect(loud).not.toContain(did)
  })
})
