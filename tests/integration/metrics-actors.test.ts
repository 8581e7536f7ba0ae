import { describe, expect, it } from 'vitest'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { expectError } from '../support/expect-error.ts'
import { ascending } from '../support/matchers.ts'
import { Scrape } from '../support/scrape.ts'
import { startTestServer } from '../support/server.ts'
import { killShardThreads } from '../support/shard-threads.ts'
import { useServer } from '../support/use-server.ts'

const actor_type = 'conversation_actor'
const shard = '0'

describe('metrics of actors', () => {
  const { people, server, sql } = useServer({ SHARD_COUNT: '1', ACTOR_IDLE_MS: '300' })
  const scrape = () => Scrape.of(server().url)

  it('count starts and stops and tell how many are there', async () => {
    const [alice] = people('alice')
    const before = await scrape()
    const convos = await Promise.all(ascending(3).map(() => createConvo(alice, { epoch: 0 })))
    const after = await scrape()
    const rise = (name: string, labels = {}) => after.value(name, labels) - before.value(name, labels)
    expect(rise('actor_spawns_total', { actor_type })).toBe(3)
    expect(rise('actor_active', { shard })).toBe(3)
    for (const convo_id of convos) {
      expect(after.find('actor_mailbox_depth', { actor_type, convo_id })).toMatchObject([{ value: 0 }])
    }
    await eventually('passivation', async () => (await scrape()).value('actor_active') === 0)
    const idle = { actor_type, reason: 'idle' }
    expect((await scrape()).value('actor_stops_total', idle) - before.value('actor_stops_total', idle)).toBe(
      3,
    )
  })

  it('time messages and group commits', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const before = await scrape()
    const send = () => alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    await Promise.all(ascending(20).map(send))
    const after = await scrape()
    const rise = (name: string, labels = {}) => after.value(name, labels) - before.value(name, labels)
    const message_type = 'sendMessage'
    expect(rise('actor_message_duration_seconds_count', { actor_type, message_type })).toBe(20)
    expect(rise('group_commit_rows_sum')).toBe(20)
    expect(rise('group_commit_rows_count')).toBeLessThanOrEqual(20)
    expect(rise('group_commit_duration_seconds_count')).toBe(rise('group_commit_rows_count'))
    expect(rise('group_commit_duration_seconds_sum')).toBeGreaterThan(0)
  })

  it('count it when an actor reads its state again because another process wrote', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const before = await scrape()
    const { databaseUrl } = server()
    const env = { RATE_LIMIT_ENABLED: 'false', ENABLE_ACTOR_SYSTEM: 'false' }
    const other = await startTestServer(env, { url: databaseUrl, drop: async () => {} })
    await other.as(alice.did).ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 0) })
    await other.stop()
    const stale = await alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    expectError(stale, 'EpochMismatch', { serverEpoch: 1, expectedEpoch: 0 })
    const after = await scrape()
    const restarts = after.value('actor_restarts_total', { actor_type })
    expect(restarts - before.value('actor_restarts_total', { actor_type })).toBe(1)
  })

  it('tell the state of the shard', async () => {
    const one = await scrape()
    expect(one.value('shard_up', { shard })).toBe(1)
    expect(one.value('shard_scrape_ok', { shard })).toBe(1)
    expect(one.value('shard_heap_used_bytes', { shard })).toBeGreaterThan(2 ** 20)
    expect(one.value('shard_heap_limit_bytes', { shard })).toBeGreaterThan(one.value('shard_heap_used_bytes'))
    expect(one.value('shard_event_loop_utilization', { shard })).toBeGreaterThan(0)
    expect(one.value('shard_event_loop_utilization', { shard })).toBeLessThanOrEqual(1)
  })

  it('count transactions that failed, by their reason', async () => {
    const [alice, mallory] = people('alice', 'mallory')
    await sql()`
      create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'a poison row' using errcode = 'data_exception'; end $$`
    await sql().unsafe(
      `create trigger poison before insert on log for each row when (new.sender = '${mallory.did}')
      execute function refuse()`,
    )
    const before = await scrape()
    const convoId = await createConvo(alice, { epoch: 0 })
    const poison = { groupId: newGroupId(), cipherSuite: 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256' }
    expectError(await mallory.call('createConvo', poison), 'InternalServerError')
    await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    const after = await scrape()
    const name = 'group_commit_failures_total'
    expect(after.value(name) - before.value(name)).toBeGreaterThan(0)
  })
})

describe('metrics of actors under pressure', () => {
  const { people, server, sql } = useServer({
    SHARD_COUNT: '1',
    ACTOR_MAILBOX_LIMIT: '5',
    ACTOR_MAX_RESIDENT: '2',
    METRICS_CONVO_LIMIT: '1',
    REQUEST_TIMEOUT_MS: '1500',
  })
  const scrape = () => Scrape.of(server().url)

  it('tell the depth of a mailbox and count what is shed and what is too late', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const before = await scrape()
    const send = () => alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    const rise = (after: Scrape, name: string, labels = {}) =>
      after.value(name, labels) - before.value(name, labels)
    const answers = await sql().begin(async (transaction) => {
      await transaction`select from conversations where convo_id = ${convoId} for update`
      const first = ascending(3).map(send)
      await eventually(
        'a wait for the row',
        async () => (await scrape()).value('actor_mailbox_depth_sum') > 0,
      )
      const more = ascending(12).map(send)
      await eventually('a full mailbox', async () => {
        return rise(await scrape(), 'actor_mailbox_full_events_total') > 0
      })
      const during = await scrape()
      expect(during.value('actor_mailbox_depth_sum', { shard })).toBe(5)
      expect(during.find('actor_mailbox_depth', { convo_id: convoId, actor_type })).toMatchObject([
        { value: 5 },
      ])
      expect(during.find('actor_mailbox_depth').length).toBe(1)
      return Promise.all([...first, ...more])
    })
    for (const answer of answers.filter(({ body }) => body.error === 'Overloaded')) {
      expectError(answer, 'Overloaded')
    }
    const after = await scrape()
    const shed = rise(after, 'actor_mailbox_full_events_total')
    expect(shed).toBeGreaterThanOrEqual(7)
    expect(rise(after, 'actor_message_drops_total', { actor_type, reason: 'mailbox_full' })).toBe(shed)
    expect(rise(after, 'actor_message_drops_total', { actor_type })).toBeGreaterThan(shed)
    expect(answers.filter(({ status }) => status === 503).length).toBeGreaterThanOrEqual(shed)
    await eventually('an empty mailbox', async () => (await scrape()).value('actor_mailbox_depth_sum') === 0)
  })

  it('count actors that make room for others', async () => {
    const [alice] = people('alice')
    const labels = { actor_type, reason: 'evicted' }
    const before = await scrape()
    for (const _ of ascending(6)) await createConvo(alice)
    await eventually('eviction', async () => (await scrape()).value('actor_active') <= 2)
    const after = await scrape()
    const rise = after.value('actor_stops_total', labels) - before.value('actor_stops_total', labels)
    expect(rise).toBeGreaterThanOrEqual(4)
  })
})

describe('metrics of shards that die', () => {
  const { people, server } = useServer({ SHARD_COUNT: '2' })
  const scrape = () => Scrape.of(server().url)

  it('never go back, and say which shard is down', async () => {
    const [alice] = people('alice')
    const create = () => Promise.all(ascending(10).map(() => createConvo(alice, { epoch: 0 })))
    for (const _ of ascending(2)) {
      const [convoId] = await create()
      await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId!, 0) })
      let last = await scrape()
      expect(last.value('shard_up')).toBe(2)
      await killShardThreads()
      await eventually('the loss', async () => {
        const down = await scrape()
        return down.value('shard_up') + down.value('shard_scrape_ok') === 0
      })
      await eventually('the shards', async () => {
        const next = await scrape()
        for (const [sample, value] of last.counts) {
          expect(next.counts.get(sample) ?? 0, sample).toBeGreaterThanOrEqual(value)
        }
        last = next
        return next.value('shard_up') === 2
      })
    }
    expect((await scrape()).value('shard_restarts_total', { reason: 'crashed' })).toBe(4)
    const before = (await scrape()).value('actor_spawns_total')
    await create()
    expect((await scrape()).value('actor_spawns_total')).toBe(before + 10)
  })
})
