import { describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { ascending } from '../support/matchers.ts'
import { Scrape } from '../support/scrape.ts'
import { MODES } from '../support/server.ts'
import { openReader } from '../support/streams/stream-reader.ts'
import { useServer } from '../support/use-server.ts'

const POOL_MAX = '3'

describe.each(MODES)('metrics of the database, $name', ({ name, env }) => {
  const { people, server, sql } = useServer({
    ...env,
    DATABASE_POOL_MAX: POOL_MAX,
    REQUEST_TIMEOUT_MS: '5000',
  })
  const scrape = () => Scrape.of(server().url)
  const count = 'database_query_duration_seconds_count'

  it('tell how long each kind of query takes, those of the executor and of streams too', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const before = await scrape()
    const rise = (after: Scrape, query: string) =>
      after.value(count, { query }) - before.value(count, { query })
    await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    await alice.ok('getMessages', { convoId, markRead: true })
    await alice.ok('getEpoch', { convoId })
    const options = { url: server().url, token: await alice.token(), cursor: '0' }
    const reader = await openReader('sse', options)
    await reader.until('caughtUp')
    await reader.close()
    const after = await scrape()
    const once = ['messages', 'first_kept_seq', 'read_positions', 'epoch']
    for (const query of once) expect(rise(after, query), query).toBe(1)
    expect(rise(after, 'membership')).toBe(2)
    expect(rise(after, name === 'direct' ? 'locked_command' : 'write_batch')).toBe(1)
    for (const query of ['stream_tail', 'stream_past']) {
      expect(rise(after, query), query).toBeGreaterThan(0)
    }
  })

  it('tell how many connections are in use, and how many queries wait for one', async () => {
    const [alice] = people('alice')
    const convoIds = await Promise.all(ascending(5).map(() => createConvo(alice, { epoch: 0 })))
    const front = { pool: 'front' }
    const idle = await scrape()
    expect(idle.value('database_pool_max', front)).toBe(Number(POOL_MAX))
    expect(idle.value('database_pool_waiting', front)).toBe(0)
    const reads = await sql().begin(async (transaction) => {
      await transaction`lock table members in access exclusive mode`
      const asked = convoIds.map((convoId) => alice.call('getEpoch', { convoId }))
      await eventually('five queries', async () => {
        const now = await scrape()
        return now.value('database_pool_in_use', front) + now.value('database_pool_waiting', front) >= 5
      })
      const during = await scrape()
      expect(during.value('database_pool_in_use', front)).toBe(Number(POOL_MAX))
      expect(during.value('database_pool_waiting', front)).toBeGreaterThanOrEqual(2)
      return asked
    })
    for (const { status } of await Promise.all(reads)) expect(status).toBe(200)
    await eventually('an idle pool', async () => (await scrape()).value('database_pool_waiting', front) === 0)
  })

  it('count a row that the log has already, which no guard let through', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const violations = { rule: 'unique_index' }
    expect((await scrape()).value('epoch_integrity_violations', violations)).toBe(0)
    // A row for the next seq, of which the head knows nothing.
    await sql()`
      insert into log (convo_id, n, seq, kind, epoch, sender, bytes, entry_id, message_id, added, removed, log_hash,
        created_at, incarnation, pos)
      select convo_id, n + 1, 1, 'app', 0, sender, 'x', gen_random_uuid(), 'm', '{}', '{}', sha256('x'), now(),
        incarnation, pos
      from log where convo_id = ${convoId}`
    const sent = await alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    expect(sent.status).toBe(503)
    expect((await scrape()).value('epoch_integrity_violations', violations)).toBeGreaterThan(0)
  })
})

describe('metrics of the direct pool', () => {
  const { people, server, sql } = useServer({ ...MODES[2].env, DATABASE_POOL_MAX: '2' })
  const scrape = () => Scrape.of(server().url)

  it('tell how many commands run, and how many conversations wait', async () => {
    const [alice] = people('alice')
    const convoIds = await Promise.all(ascending(4).map(() => createConvo(alice, { epoch: 0 })))
    const direct = { pool: 'direct' }
    const sent = await sql().begin(async (transaction) => {
      await transaction`select from conversations where convo_id = any(${convoIds}) for update`
      const commands = convoIds.map((convoId) =>
        alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }),
      )
      await eventually('commands that wait', async () => {
        const now = await scrape()
        return (
          now.value('database_pool_in_use', direct) === 2 && now.value('database_pool_waiting', direct) === 2
        )
      })
      return commands
    })
    for (const { status } of await Promise.all(sent)) expect(status).toBe(200)
    expect((await scrape()).value('database_pool_max', direct)).toBe(2)
    expect((await scrape()).value('database_pool_in_use', direct)).toBe(0)
  })
})
