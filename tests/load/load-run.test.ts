import { audit } from '@catbird/api/audit/audit'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { TEST_AUDIENCE, TEST_SECRET } from '../support/identity.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { ServerProcess } from '../support/server-process.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { signAccounts } from './accounts.ts'
import { Ledger } from './ledger.ts'
import { LoadClient } from './load-client.ts'
import { type LoadEvents, type LoadPlan, LoadRun } from './load-run.ts'
import { MODES } from './operations.ts'
import { makeReport } from './report.ts'
import { SetupRefused, World } from './world.ts'

const SIGNING = { secret: TEST_SECRET, audience: TEST_AUDIENCE }
const PLAN: LoadPlan = {
  mode: 'send',
  pace: { rate: 60, arrivals: 'constant', concurrency: 512 },
  durationMs: 1000,
  retryForMs: 0,
}
const SIZE = { conversations: 5, members: 3 }

async function openWorld(url: string, size = SIZE, signing = SIGNING) {
  const client = new LoadClient(url, 512)
  onTestFinished(() => client.close())
  const accounts = await signAccounts(signing, size.conversations * size.members, PLAN.durationMs)
  return { client, world: await World.create(client, accounts, size) }
}

async function load(url: string, plan: Partial<LoadPlan>, events: LoadEvents = {}, onStart = () => {}) {
  const { client, world } = await openWorld(url)
  onStart()
  const whole = { ...PLAN, ...plan }
  const result = await new LoadRun(client, world, whole, events).run()
  return { ...makeReport({ url, ...SIZE }, whole, result), world }
}

async function expectSound(databaseUrl: string, ledger?: Ledger): Promise<void> {
  const sql = openSql(databaseUrl)
  try {
    expect(await audit(sql)).toMatchObject({ violations: 0 })
    expect((await ledger?.check(sql))?.problems ?? []).toEqual([])
  } finally {
    await sql.end()
  }
}

describe('a load', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer({ SHARD_COUNT: '1' })
  })
  afterAll(() => server.stop())

  it.each(MODES)(
    'of mode %s gets no error from a server that is well, and leaves a sound database',
    async (mode) => {
      const ledger = new Ledger()
      const report = await load(server.url, { mode }, { observe: (outcome) => ledger.observe(outcome) })
      expect(report.errors).toEqual({})
      expect(report.offered).toBe(60)
      const refused = Object.values(report.expectedRefusals).reduce((sum, n) => sum + n, 0)
      expect(report.accepted + refused).toBe(60)
      expect(report.rateLimits).toEqual([])
      if (mode === 'streams') {
        expect(report.deliveries).toMatchObject({ streams: 15, expected: 60 * 3, missing: 0 })
      }
      if (mode === 'churn') expect(report.world.convos.length).toBe(5 + report.operations.create!)
      await expectSound(server.databaseUrl, ledger)
    },
  )

  it('of mode mixed does everything in its share', async () => {
    const { operations, expectedRefusals } = await load(server.url, { mode: 'mixed', durationMs: 4000 })
    expect(Object.keys(operations).sort()).toEqual(['commit', 'getConvos', 'getEpoch', 'getMessages', 'send'])
    expect(Object.keys(expectedRefusals).filter((name) => name !== 'EpochMismatch')).toEqual([])
    const { EpochMismatch = 0 } = expectedRefusals
    expect((operations.send! + EpochMismatch) / 240).toBeGreaterThan(0.5)
    expect((operations.send! + EpochMismatch) / 240).toBeLessThan(0.95)
    expect(operations.getMessages! / 240).toBeLessThan(0.3)
  })

  it('in a closed loop sends the next request when the last one is answered', async () => {
    const plan: Partial<LoadPlan> = {
      mode: 'commit',
      pace: { rate: undefined, arrivals: 'constant', concurrency: 3 },
    }
    const report = await load(server.url, plan)
    expect(report.errors).toEqual({})
    expect(report.expectedRefusals).toEqual({})
    expect(report.operations.commit).toBe(report.offered)
    expect(report.world.convos.reduce((sum, { epoch }) => sum + epoch, 0)).toBe(report.offered)
    expect(report.generator).toBeUndefined()
  })

  it('makes conversations of more members than one request may name', async () => {
    const { world } = await openWorld(server.url, { conversations: 1, members: 220 })
    const { convoId, members, epoch } = world.convos[0]!
    expect(epoch).toBe(3)
    const { conversations } = await server.as(members[219]!.did).ok('getConvos')
    expect(conversations.map((convo) => [convo.id, convo.members.length])).toEqual([[convoId, 220]])
    await expectSound(server.databaseUrl)
  })

  it('of somebody whom the server does not know is refused with the name', async () => {
    const strange = { ...SIGNING, secret: 'another secret of 32 bytes or more' }
    const refused = await openWorld(server.url, SIZE, strange).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(SetupRefused)
    expect((refused as Error).message).toContain('createConvo answered 401 BadJwtSignature')
  })
})

describe('a load within rate limits', () => {
  it('names the limit that was the bound, and counts what it refused', async () => {
    const server = await startTestServer({
      SHARD_COUNT: '1',
      RATE_LIMIT_ENABLED: 'true',
      RATE_LIMIT_SEND: '2',
    })
    onTestFinished(() => server.stop())
    const report = await load(server.url, {})
    // 15 accounts with two messages each.
    expect(report).toMatchObject({ accepted: 30, errors: { RateLimitExceeded: 30 } })
    expect(report.rateLimits).toEqual([{ setting: 'RATE_LIMIT_SEND', limit: 2, windowS: 60, refused: 30 }])
    expect(report.notes.join()).toContain('RATE_LIMIT_SEND lets each caller have 2 per minute and refused 30')
  })
})

describe('a load on a server that stalls', () => {
  const STALL_MS = 1000
  let database: TestDatabase
  let server: ServerProcess
  beforeAll(async () => {
    database = await createTestDatabase()
    server = await ServerProcess.start(database.url, { ENABLE_ACTOR_SYSTEM: 'false' })
  })
  afterAll(async () => {
    await server.end('SIGKILL')
    await database.drop()
  })

  const stall = (afterMs: number, forMs: number) => {
    setTimeout(() => server.signal('SIGSTOP'), afterMs)
    setTimeout(() => server.signal('SIGCONT'), afterMs + forMs)
  }

  // With room for four the others cannot even be sent: they count all the same.
  it.each([512, 4])(
    'keeps its schedule and shows the stall, with %i requests at once',
    async (concurrency) => {
      const pace = { ...PLAN.pace, rate: 50, concurrency }
      const report = await load(server.url, { pace, durationMs: 4000 }, {}, () => stall(500, STALL_MS))
      const { NotSent = 0, ...errors } = report.errors
      expect(errors).toEqual({})
      expect(report.offered + NotSent).toBe(200)
      expect(report.accepted).toBe(report.offered)
      expect(report.latencyMs.max).toBeGreaterThan(0.9 * STALL_MS)
      expect(report.latencyMs.p99).toBeGreaterThan(0.8 * STALL_MS)
      const slow = report.histogram.filter(({ fromMs }) => fromMs >= STALL_MS / 2)
      // All that were due in its first half waited for the second.
      expect(slow.reduce((sum, { count }) => sum + count, 0)).toBeGreaterThan(20)
      expect(report.longestWithoutAnswerMs).toBeGreaterThan(0.9 * STALL_MS)
      expect(report.generator?.wasFull).toBe(concurrency === 4)
    },
  )

  it('tells what was never sent when it is ended meanwhile', async () => {
    const { client, world } = await openWorld(server.url)
    const plan = { ...PLAN, pace: { ...PLAN.pace, rate: 100, concurrency: 4 } }
    const stop = new AbortController()
    stall(200, 1500)
    setTimeout(() => stop.abort(), 1000)
    const result = await new LoadRun(client, world, plan).run(stop.signal)
    const { offered, errors, notes } = makeReport({ url: server.url, ...SIZE }, plan, result)
    expect(errors.NotSent).toBeGreaterThan(50)
    expect(offered).toBeLessThan(50)
    expect(notes.join()).toContain(`${errors.NotSent} requests that were due were never sent`)
  })
})

describe('a load on a server that goes away', () => {
  it('counts the errors by name, and clients that ask again get their answer once it is back', async () => {
    const database = await createTestDatabase()
    let server = await ServerProcess.start(database.url, { ENABLE_ACTOR_SYSTEM: 'false' })
    onTestFinished(async () => {
      await server.end()
      await database.drop()
    })
    const { client, world } = await openWorld(server.url)
    const env = { ENABLE_ACTOR_SYSTEM: 'false', SERVER_PORT: new URL(server.url).port }
    const ledger = new Ledger()
    const endless = { ...PLAN, durationMs: Infinity }
    const giveUp = new AbortController()
    const hopeless = new LoadRun(client, world, endless, { observe: (outcome) => ledger.observe(outcome) })
    const first = hopeless.run(giveUp.signal)
    await server.end('SIGKILL')
    await new Promise((resolve) => setTimeout(resolve, 300))
    giveUp.abort()
    const { errors } = (await first).tally
    expect(errors.get('ConnectionRefused')).toBeGreaterThan(0)
    const patient = new LoadRun(
      client,
      world,
      { ...endless, retryForMs: 30_000 },
      {
        observe: (outcome) => ledger.observe(outcome),
      },
    )
    const stop = new AbortController()
    const second = patient.run(stop.signal)
    server = await ServerProcess.start(database.url, env)
    stop.abort()
    const { tally } = await second
    expect([...tally.errors.keys()]).toEqual([])
    expect(tally.repeated.get('ConnectionRefused')).toBeGreaterThan(0)
    expect(tally.accepted.get('send')).toBe(tally.offered)
    await expectSound(database.url, ledger)
  })

  it('asks again under the same key, so that what was done and not answered is not done twice', async () => {
    const server = await startTestServer({ ENABLE_ACTOR_SYSTEM: 'false' })
    const way = await TcpProxy.to(server.url)
    onTestFinished(async () => {
      way.stop()
      await server.stop()
    })
    const { client, world } = await openWorld(new URL(way.through(server.url)).origin)
    const ledger = new Ledger()
    const plan = { ...PLAN, mode: 'mixed', durationMs: Infinity, retryForMs: 30_000 } as const
    const run = new LoadRun(client, world, plan, { observe: (outcome) => ledger.observe(outcome) })
    const stop = new AbortController()
    const ended = run.run(stop.signal)
    for (let cut = 0; cut < 20; cut++) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      way.cut()
      way.restore()
    }
    stop.abort()
    const { tally } = await ended
    expect([...tally.errors.keys()]).toEqual([])
    expect(tally.repeated.get('ConnectionLost')).toBeGreaterThan(0)
    await expectSound(server.databaseUrl, ledger)
  })

  it('goes on reading its streams where they broke off, and counts them as lost', async () => {
    const server = await startTestServer({ ENABLE_ACTOR_SYSTEM: 'false' })
    const way = await TcpProxy.to(server.url)
    onTestFinished(async () => {
      way.stop()
      await server.stop()
    })
    const { client, world } = await openWorld(new URL(way.through(server.url)).origin)
    const plan = { ...PLAN, mode: 'streams', durationMs: 2000, retryForMs: 30_000 } as const
    let seconds = 0
    const cutOnce = () => {
      if (seconds++ > 0) return
      way.cut()
      setTimeout(() => way.restore(), 200)
    }
    const { tally, deliveries } = await new LoadRun(client, world, plan, { onSecond: cutOnce }).run()
    const { StreamLost, StreamNotOpened: _, ...others } = Object.fromEntries(tally.errors)
    expect(StreamLost).toBeGreaterThanOrEqual(15)
    expect(others).toEqual({})
    expect(deliveries).toMatchObject({ streams: 15, expected: 120 * 3, missing: 0 })
  })
})
