import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { type Logger, pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../../../../tests/support/eventually.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { NotifyChannel } from './notify-channel.ts'

const PING_MS = 100

let database: TestDatabase
let sql: ReturnType<typeof openSql>
const opened: NotifyChannel[] = []
const logs: string[] = []
const log: Logger = pino({ level: 'debug' }, { write: (line: string) => logs.push(line) })

beforeAll(async () => {
  database = await createTestDatabase()
  sql = openSql(database.url)
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map((channel) => channel.stop()))
  logs.length = 0
})
afterAll(async () => {
  await sql?.end()
  await database?.drop()
})

/** A channel with what it has heard. */
async function open({ url = database.url, name = 'test' } = {}) {
  const heard: string[] = []
  const options = { databaseUrl: url, name, log, pingMs: PING_MS }
  const channel = new NotifyChannel(options, (text) => heard.push(text))
  opened.push(channel)
  await channel.start()
  return { channel, heard }
}

async function expectHeard(heard: string[], expected: string[]): Promise<void> {
  await eventually('hearing', () => heard.length >= expected.length)
  expect(heard).toEqual(expected)
}

describe('NotifyChannel', () => {
  it('carries texts to everybody on it, in order, and no pings', async () => {
    const [one, other] = [await open(), await open()]
    await one.channel.notify(['a', 'b'])
    await new Promise((resolve) => setTimeout(resolve, 3 * PING_MS))
    await other.channel.notify(['c', 'x'.repeat(7999)])
    for (const { heard } of [one, other]) await expectHeard(heard, ['a', 'b', 'c', 'x'.repeat(7999)])
  })

  it('stays within its schema and its name', async () => {
    const schema = `channel_${Date.now()}`
    await sql`create schema ${sql(schema)}`
    const elsewhere = new URL(database.url)
    elsewhere.searchParams.set('search_path', schema)
    const [here, there, another] = [
      await open(),
      await open({ url: elsewhere.href }),
      await open({ name: 'another' }),
    ]
    await here.channel.notify(['here'])
    await there.channel.notify(['there'])
    await another.channel.notify(['another'])
    await here.channel.notify(['here again'])
    await expectHeard(here.heard, ['here', 'here again'])
    await expectHeard(there.heard, ['there'])
    await expectHeard(another.heard, ['another'])
    await sql`drop schema ${sql(schema)}`
  })

  it('hears and says nothing after it has stopped', async () => {
    const [one, other] = [await open(), await open()]
    await one.channel.stop()
    await expect(one.channel.notify(['late'])).rejects.toThrow()
    await other.channel.notify(['on time'])
    await expectHeard(other.heard, ['on time'])
    expect(one.heard).toEqual([])
  })

  it('does not start without a database', async () => {
    const route = await Route.to(database.url)
    await route.stop()
    await expect(open({ url: route.url })).rejects.toThrow()
  })
})

describe('NotifyChannel whose connections are lost', () => {
  let route: Route
  beforeAll(async () => {
    route = await Route.to(database.url)
  })
  afterAll(() => route.stop())

  /** What is said meanwhile is lost: says something until it is heard, and from then on each once. */
  async function expectHearing(heard: string[]): Promise<void> {
    const { channel } = await open()
    let said = 0
    const before = heard.length
    await eventually('hearing again', async () => {
      await channel.notify([`${said++}`])
      return heard.length > before
    })
    const last = `${said}`
    await channel.notify([last])
    await eventually('the last one', () => heard.at(-1) === last)
    // It may hear itself as well.
    const numbers = heard
      .slice(before)
      .filter((text) => text !== 'spoken')
      .map(Number)
    expect(numbers).toEqual(Array.from(numbers, (_, i) => numbers[0]! + i))
  }

  /** Says something until it is told that it was said. */
  async function expectSpeaking(channel: NotifyChannel): Promise<void> {
    await eventually('speaking again', () =>
      channel.notify(['spoken']).then(
        () => true,
        () => false,
      ),
    )
  }

  it('hears and speaks again soon after', async () => {
    const { heard, channel } = await open({ url: route.url })
    for (let round = 0; round < 3; round++) {
      route.cut()
      await expectHearing(heard)
      await expectSpeaking(channel)
    }
  })

  it('refuses while the database is away, and hears and speaks when it is back', async () => {
    const { heard, channel } = await open({ url: route.url })
    await route.close()
    for (let i = 0; i < 3; i++) await expect(channel.notify(['lost'])).rejects.toThrow()
    await eventually('a ping that fails', () => logs.some((line) => line.includes('Job failed')))
    await route.reopen()
    await expectHearing(heard)
    await expectSpeaking(channel)
    await eventually('hearing itself', () => heard.includes('spoken'))
    expect(heard).not.toContain('lost')
  })

  it('notices that nothing is said any more on the connection that hears', async () => {
    const { heard, channel } = await open({ url: route.url })
    route.silence(1)
    await eventually('listening anew', () => logs.some((line) => line.includes('listening anew')))
    await expectHearing(heard)
    await expectSpeaking(channel)
  })

  it('notices that both connections are silent', async () => {
    const { heard, channel } = await open({ url: route.url })
    route.silence()
    await expect(channel.notify(['lost'])).rejects.toThrow()
    await expectHearing(heard)
    await expectSpeaking(channel)
  })
})

/** A way to the database that can be cut, closed, and, for the connections that there are, made silent. */
class Route {
  readonly url: string
  readonly #server: Server
  readonly #port: number
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server, target: string) {
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
    const url = new URL(target)
    server.on('connection', (near) => {
      const far = connect(Number(url.port || 5432), url.hostname)
      for (const socket of [near, far]) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          this.#sockets.delete(socket)
          near.destroy()
          far.destroy()
        })
      }
      near.pipe(far)
      far.pipe(near)
    })
    const through = new URL(target)
    through.hostname = '127.0.0.1'
    through.port = String(this.#port)
    this.url = through.href
  }

  static async to(target: string): Promise<Route> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Route(server, target)
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** @param from the first connection, by age, that is made silent */
  silence(from = 0): void {
    for (const socket of [...this.#sockets].slice(2 * from)) {
      socket.unpipe()
      socket.pause()
    }
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.cut()
    await closed
  }

  async reopen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async stop(): Promise<void> {
    if (this.#server.listening) await this.close()
  }
}
