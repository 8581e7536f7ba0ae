import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { TEST_SECRET } from '../support/identity.ts'
import { ascending } from '../support/matchers.ts'
import { ConsoleClient, OPS_TOKEN } from '../support/ops/console-client.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { MODES, startTestServer, type TestServer } from '../support/server.ts'
import { killShardThreads } from '../support/shard-threads.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { newDid, useServer } from '../support/use-server.ts'

describe.each(MODES)('the console, $name', ({ env }) => {
  const { people, server } = useServer({ ...env, OPS_TOKEN })
  const operator = () => new ConsoleClient(server().url)
  const isDirect = env.ENABLE_ACTOR_SYSTEM === 'false'
  const shards = 'SHARD_COUNT' in env ? Number(env.SHARD_COUNT) : 0

  it('looks a conversation up, without a DID and without bytes', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 0) })
    await alice.ok('sendMessage', { convoId, epoch: 1, ciphertext: messageFor(convoId, 1) })
    const found = await operator().convo(convoId)
    expect(found).toMatchObject({ convoId, stored: { epoch: 1, seq: 2, members: 2, tracking: 'tracked' } })
    expect(found.place).toEqual(
      isDirect ? { executor: 'direct' } : { executor: 'actor', shard: expect.any(Number) },
    )
    expect(JSON.stringify(found)).not.toContain('did:')
    if (isDirect) expect(found.actor).toBeUndefined()
    else {
      expect(found.actor).toMatchObject({
        isResident: true,
        mailboxDepth: 0,
        unsettledUnits: 0,
        isBlocked: false,
      })
      expect(found.actor!.lastBatch).toMatchObject({ rows: 1, conversations: 1, seconds: expect.any(Number) })
      expect(Date.now() - found.actor!.lastBatch!.writtenAtMs).toBeLessThan(60_000)
    }
  })

  it('says of a conversation that there is none', async () => {
    const found = await operator().convo(newGroupId())
    expect(found.stored).toBeNull()
    if (!isDirect) expect(found.actor).toMatchObject({ isResident: false })
  })

  it.each(['', 'x'.repeat(129), 'a%00b'])('refuses the id %j', async (id) => {
    expect((await operator().call('GET', `convo?convoId=${id}`)).status).toBe(400)
    expect((await operator().call('POST', `passivate?convoId=${id}`)).status).toBe(400)
  })

  it('names the hottest conversations and where they run', async () => {
    const [alice] = people('alice')
    const [hot, cold] = [await createConvo(alice, { epoch: 0 }), await createConvo(alice, { epoch: 0 })]
    const send = () => alice.ok('sendMessage', { convoId: hot, epoch: 0, ciphertext: messageFor(hot, 0) })
    await Promise.all(ascending(30).map(send))
    const { hot: found } = await operator().overview()
    expect(found[0]).toEqual({
      convoId: hot,
      commands: 31,
      atMost: 31,
      ...(await operator().convo(hot)).place,
    })
    expect(found.find(({ convoId }) => convoId === cold)).toMatchObject({ commands: 1 })
  })

  it('tells of the latest conflicts', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const commit = () => alice.call('addMembers', { convoId, didList: [], commit: commitFor(convoId, 0) })
    await commit()
    const { headers } = await commit()
    const { conflicts } = await operator().overview()
    expect(conflicts[0]).toEqual({
      atMs: expect.any(Number),
      convoId,
      executor: isDirect ? 'direct' : 'actor',
      command: 'addMembers',
      serverEpoch: 1,
      expectedEpoch: 0,
      requestId: headers.get('x-request-id'),
    })
  })

  it('samples the front and each shard, and answers only what the page has not seen', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    let { samples } = await operator().overview()
    await eventually('a sample with commands', async () => {
      await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
      const next = (await operator().overview(samples.last)).samples
      expect(next.atMs).toHaveLength(next.last - samples.last)
      samples = next
      const { names, values } = samples.charts.commandsPerS
      expect(names).toEqual(['direct', ...ascending(shards).map((i) => `shard ${i - 1}`)])
      return values.some((line) => line.some((value) => value !== null && value > 0))
    })
    const { shards: told } = await operator().overview()
    expect(told.map(({ shard, state }) => ({ shard, state }))).toEqual(
      ascending(shards).map((i) => ({ shard: i - 1, state: 'up' })),
    )
    for (const { figures } of told) {
      expect(figures!.utilization).toBeGreaterThan(0)
      expect(figures!.utilization).toBeLessThanOrEqual(1)
      expect(figures!.heapUsedBytes).toBeGreaterThan(2 ** 20)
    }
    expect((await operator().overview(samples.last + 100)).samples.atMs.length).toBeGreaterThan(0)
  })

  it('says which executor is in force', async () => {
    const { actors, version } = await operator().overview()
    expect(actors).toEqual({ isEnabled: !isDirect, rolloutPercent: isDirect ? 0 : 100 })
    expect(version).toMatch(/^\d+\.\d+\.\d+/)
  })
})

describe('settings in the console', () => {
  const secrets = { METRICS_TOKEN: 'scrape-secret', OPS_TOKEN, JWT_SECRET: TEST_SECRET }
  const { server } = useServer({ ...MODES[2].env, ...secrets, MAX_MEMBERS: '7' })

  it('are shown as they are in force, and secrets are not', async () => {
    const { settings } = await new ConsoleClient(server().url).settings()
    const find = (wanted: string) => settings.find(({ name }) => name === wanted)
    expect(find('MAX_MEMBERS')).toMatchObject({ value: '7', defaultText: '1000', isChanged: true })
    expect(find('MESSAGE_TTL_DAYS')).toMatchObject({ value: '30', isChanged: false })
    expect(find('ENABLE_ACTOR_SYSTEM')).toMatchObject({ value: 'false', isChanged: true })
    for (const name of Object.keys(secrets)) expect(find(name)).toMatchObject({ value: 'set (not shown)' })
    const { password, username, host } = new URL(server().databaseUrl)
    const shown = find('DATABASE_URL')!.value
    expect(shown).toContain(`${username}:•••@${host}`)
    const text = JSON.stringify(settings)
    for (const value of [...Object.values(secrets), `:${password}@`]) expect(text).not.toContain(value)
  })
})

describe('passivating from the console', () => {
  const { people, server } = useServer({ SHARD_COUNT: '2', OPS_TOKEN })
  const operator = () => new ConsoleClient(server().url)

  it('unloads an actor; its next command finds everything as it was', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 0) })
    expect(await operator().passivate(convoId)).toBe('passivated')
    expect((await operator().convo(convoId)).actor).toMatchObject({ isResident: false })
    expect(await operator().passivate(convoId)).toBe('absent')
    const stopped = `ConversationActor ${convoId} passivated`
    await eventually('its line', () =>
      server().logs.some(({ msg, reason }) => msg === stopped && reason === 'operator'),
    )
    const sent = await alice.ok('sendMessage', { convoId, epoch: 1, ciphertext: messageFor(convoId, 1) })
    expect(sent).toMatchObject({ seq: 2 })
    expect((await operator().convo(convoId)).actor).toMatchObject({ isResident: true })
  })

  it('again and again under load loses and doubles nothing', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    let isSending = true
    const outcomes = new Set<string>()
    const passivating = (async () => {
      while (isSending) outcomes.add(await operator().passivate(convoId))
    })()
    const seqs: number[] = []
    for (let round = 0; round < 10; round++) {
      const send = () => alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
      for (const { seq } of await Promise.all(ascending(30).map(send))) seqs.push(seq!)
    }
    isSending = false
    await passivating
    expect(outcomes).toContain('leaving')
    expect(seqs.toSorted((a, b) => a - b)).toEqual(ascending(300))
    expect((await operator().convo(convoId)).stored).toMatchObject({ seq: 300 })
  })

  it('is refused for a conversation that has no actor by the roll-out', async () => {
    const other = await startTestServer({ ...MODES[2].env, OPS_TOKEN })
    try {
      const { status, body } = await new ConsoleClient(other.url).call('POST', 'passivate?convoId=0a')
      expect({ status, error: body.error }).toEqual({ status: 409, error: 'NoActor' })
    } finally {
      await other.stop()
    }
  })
})

describe('the console while shards are down', () => {
  const { people, server } = useServer({ SHARD_COUNT: '2', OPS_TOKEN })

  it('tells that they died, why and when, and what can be known of a conversation', async () => {
    const operator = new ConsoleClient(server().url)
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    await killShardThreads()
    await eventually('the restarts', async () => (await operator.overview()).restarts.length >= 2)
    const { restarts } = await operator.overview()
    expect(restarts.map(({ shard }) => shard).toSorted()).toEqual([0, 1])
    for (const { atMs, reason } of restarts) {
      expect(reason).toBe('crashed')
      expect(Date.now() - atMs).toBeLessThan(60_000)
    }
    expect((await operator.convo(convoId)).stored).toMatchObject({ epoch: 0 })
    await eventually('the shards', async () =>
      (await operator.overview()).shards.every(({ state, figures }) => state === 'up' && figures !== null),
    )
  })
})

describe('the console while the database is away', () => {
  let database: TestDatabase
  let proxy: TcpProxy
  let server: TestServer
  beforeAll(async () => {
    database = await createTestDatabase()
    proxy = await TcpProxy.to(database.url)
    server = await startTestServer(
      { SHARD_COUNT: '1', OPS_TOKEN },
      { ...database, url: proxy.through(database.url) },
    )
  })
  afterAll(async () => {
    proxy.restore()
    await server.stop()
    proxy.stop()
    await database.drop()
  })

  it('goes on, and a lookup is refused within its deadline', async () => {
    const operator = new ConsoleClient(server.url)
    const convoId = await createConvo(server.as(newDid('alice')), { epoch: 0 })
    proxy.cut()
    const lookups = await Promise.all(
      ascending(4).map(() => operator.call('GET', `convo?convoId=${convoId}`)),
    )
    for (const { status, body } of lookups) {
      expect(status).toBe(503)
      expect(['Unavailable', 'Overloaded']).toContain(body.error)
    }
    expect((await operator.overview()).shards).toHaveLength(1)
    proxy.restore()
    await eventually(
      'a lookup',
      async () => (await operator.call('GET', `convo?convoId=${convoId}`)).status === 200,
    )
  })
})
