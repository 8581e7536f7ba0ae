import { QueryTimer } from '@catbird/shared/query-timer'
import { RenewablePool } from '@catbird/shared/renewable-pool'
import { openPool } from '@catbird/shared/sql'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { FakeConnection } from './connection.fixture.ts'
import type { CloseReason } from './connection.ts'
import { Hub } from './hub.ts'
import { INCARNATION, LogFixture } from './log.fixture.ts'
import type { Reader } from './read-memberships.ts'
import { Stream } from './stream.ts'
import { readStreamCursor, type StreamPosition, writeStreamCursor } from './stream-cursor.ts'
import { Tailer } from './tailer.ts'

const ALICE = 'did:plc:alice'
const TAG = '0123456789ab'
const MIB = 2 ** 20
const START: StreamPosition = { since: { kind: 'start' }, atMs: 0 }

let log: LogFixture
let pool: RenewablePool
let hub: Hub
let tailer: Tailer

beforeAll(async () => {
  log = await LogFixture.create(1)
})
afterAll(() => log.drop())
beforeEach(() => {
  pool = new RenewablePool(() => openPool(log.url, { max: 2, name: 'streams', statementTimeoutMs: 5000 }))
  hub = new Hub()
  tailer = new Tailer({
    pool,
    incarnation: INCARNATION,
    hub,
    timer: new QueryTimer(new Registry()),
    log: { warn() {} } as never,
    cursorOf,
  })
})
afterEach(async () => {
  await tailer.stop()
  await pool.close()
})

const cursorOf = (position: StreamPosition, convoId: string | undefined) =>
  writeStreamCursor({ ...position, tag: TAG, convoId })

async function open(reader: Reader, start: StreamPosition | undefined, connection = new FakeConnection()) {
  const ends: CloseReason[] = []
  const faults: unknown[] = []
  let sent = 0
  const stream = new Stream(
    {
      reader,
      incarnation: INCARNATION,
      tailer,
      query: (run) => pool.call(run, 5000, () => new Error('deadline')),
      cursorOf,
      onSent: (events) => {
        sent += events
      },
      onEnd: (reason) => ends.push(reason),
      onFault: (fault) => faults.push(fault),
    },
    start,
  )
  stream.start(connection, await stream.attach(5000), false)
  return { stream, connection, ends, faults, sent: () => sent }
}

let serial = 0
const newReader = () => ({ did: `did:plc:reader${serial++}` })
const newConvo = async (did: string) => {
  const convoId = `5a${serial++}`
  await log.add(convoId, { kind: 'created', added: [did, ALICE] })
  return convoId
}
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

describe('a stream', () => {
  it('sends the past, says so, and goes on with what happens', async () => {
    const reader = newReader()
    const convoId = await newConvo(reader.did)
    for (let i = 0; i < 3; i++) await log.add(convoId)
    const { connection, ends, sent } = await open(reader, START)
    await connection.has('caughtUp')
    expect(connection.seqs).toEqual([1, 2, 3])
    await log.add(convoId)
    await vi.waitFor(() => expect(connection.seqs).toEqual([1, 2, 3, 4]), { timeout: 5000 })
    connection.close()
    expect(ends).toEqual(['client'])
    expect(hub.size).toBe(0)
    expect(sent()).toBe(connection.events.length)
  })

  it('without a cursor begins now', async () => {
    const reader = newReader()
    const convoId = await newConvo(reader.did)
    await log.add(convoId)
    const { connection } = await open(reader, undefined)
    await connection.has('caughtUp')
    await log.add(convoId)
    await vi.waitFor(() => expect(connection.seqs).toEqual([2]), { timeout: 5000 })
  })

  it('goes on behind any of its events with that cursor', async () => {
    const reader = newReader()
    const convoId = await newConvo(reader.did)
    for (let i = 0; i < 3; i++) await log.add(convoId)
    const { connection } = await open(reader, START)
    await connection.has('caughtUp')
    for (let i = 0; i < 3; i++)
      await log.add(convoId, { kind: i === 1 ? 'commit' : 'app', added: i === 1 ? ['did:plc:new'] : [] })
    await vi.waitFor(() => expect(connection.seqs).toEqual(upTo(6)), { timeout: 5000 })
    const told = connection.events.filter(({ type }) => type !== 'infoEvent')
    const name = ({ type, message, did }: Record<string, unknown>) =>
      JSON.stringify([type, (message as { seq: number })?.seq, did])
    for (const [i, { cursor }] of told.entries()) {
      const again = await open(reader, readStreamCursor(cursor as string))
      await again.connection.has('caughtUp')
      const rest = again.connection.events.filter(({ type }) => type !== 'infoEvent').map(name)
      // Of a row with several events the earlier ones may come again, none is missing.
      expect(rest.slice(-told.length + i + 1)).toEqual(told.slice(i + 1).map(name))
      expect(rest.length - (told.length - i - 1)).toBeLessThanOrEqual(1)
      again.connection.close()
    }
  })

  it('broken off within a row with several events comes back with those that are left', async () => {
    const reader = newReader()
    const convoId = await newConvo(reader.did)
    await log.add(convoId, { kind: 'commit', added: ['did:plc:one', 'did:plc:two'] })
    await log.add(convoId, { kind: 'commit', removed: ['did:plc:two', reader.did] })
    const { connection } = await open(reader, START)
    await connection.has('caughtUp')
    const told = connection.events.slice(0, -1).map(({ cursor, ...event }) => event)
    expect(told.length).toBe(9)
    for (const [i, cursor] of connection.cursors.slice(0, -1).entries()) {
      const again = await open(reader, readStreamCursor(cursor))
      await again.connection.has('caughtUp')
      const rest = again.connection.events.slice(0, -1).map(({ cursor, ...event }) => event)
      expect(rest.slice(Math.max(0, rest.length - told.length + i + 1))).toEqual(told.slice(i + 1))
      expect(rest.length).toBeGreaterThanOrEqual(told.length - i - 1)
    }
  })

  it('reads on from the past when more happens meanwhile than can wait', async () => {
    const reader = newReader()
    const convoId = await newConvo(reader.did)
    for (let i = 0; i < 3; i++) await log.add(convoId, { bytes: Buffer.alloc(600_000) })
    const connection = new FakeConnection()
    connection.isReading = false
    const { ends, faults } = await open(reader, START, connection)
    await vi.waitFor(() => expect(connection.seqs).toEqual([1]), { timeout: 5000 })
    for (let i = 0; i < 6; i++) await log.add(convoId, { bytes: Buffer.alloc(300_000) })
    // It is let go of then.
    await vi.waitFor(() => expect(hub.size).toBe(0), { timeout: 5000, interval: 5 })
    for (let i = 0; i < 2; i++) await log.add(convoId)
    connection.read()
    await connection.has('caughtUp')
    await log.add(convoId)
    await vi.waitFor(() => expect(connection.seqs).toEqual(upTo(12)), { timeout: 5000 })
    expect([ends, faults]).toEqual([[], []])
  })

  it('is closed by name, with the cursor of what was sent, when its reader falls behind', async () => {
    const reader = newReader()
    const convoId = await newConvo(reader.did)
    const { connection, ends } = await open(reader, undefined)
    await connection.has('caughtUp')
    connection.isReading = false
    for (let i = 0; i < 8; i++) {
      await log.add(convoId, { bytes: Buffer.alloc(300_000) })
      await vi.waitFor(() => expect(connection.isEnded || connection.seqs.includes(i + 1)).toBe(true), {
        timeout: 5000,
        interval: 5,
      })
    }
    expect(ends).toEqual(['slow'])
    expect(connection.isEnded).toBe(true)
    expect(connection.backlog).toBeLessThan(MIB + 600_000)
    expect(connection.infos).toEqual(['caughtUp', 'slow'])
    const again = await open(reader, readStreamCursor(connection.cursors.at(-1)!))
    await again.connection.has('caughtUp')
    expect([...connection.seqs, ...again.connection.seqs]).toEqual(upTo(8))
  })

  it('counts as stalled when its reader takes nothing for half a minute', async () => {
    const reader = newReader()
    const convoId = await newConvo(reader.did)
    const { stream, connection } = await open(reader, undefined)
    await connection.has('caughtUp')
    const nowMs = performance.now()
    expect(stream.isStalled(nowMs + 100_000)).toBe(false)
    connection.isReading = false
    await log.add(convoId)
    await vi.waitFor(() => expect(connection.seqs).toEqual([1]), { timeout: 5000 })
    expect(stream.isStalled(nowMs + 129_000)).toBe(false)
    expect(stream.isStalled(nowMs + 131_000)).toBe(true)
    connection.backlog--
    expect(stream.isStalled(nowMs + 131_000)).toBe(false)
  })

  it('passes on what is not kept with the cursor before it, and only when it has caught up', async () => {
    const reader = newReader()
    const convoId = await newConvo(reader.did)
    await log.add(convoId, { bytes: Buffer.alloc(100_000) })
    await log.add(convoId)
    const connection = new FakeConnection()
    connection.isReading = false
    const { stream } = await open(reader, START, connection)
    const ephemeral = {
      type: 'ephemeralEvent',
      convoId,
      sender: ALICE,
      ciphertext: new Uint8Array([1]),
      epoch: 0,
    } as const
    stream.pushEphemeral(ephemeral)
    connection.read()
    await connection.has('caughtUp')
    stream.pushEphemeral(ephemeral)
    expect(connection.events.filter(({ type }) => type === 'ephemeralEvent').length).toBe(1)
    expect(connection.cursors.at(-1)).toBe(connection.cursors.at(-2))
    expect(connection.events.at(-1)).toMatchObject({ convoId, sender: ALICE, ciphertext: { $bytes: 'AQ==' } })
  })

  it('keeps no more of what is not kept than of events for a reader that does not read', async () => {
    const reader = newReader()
    const convoId = await newConvo(reader.did)
    const { stream, connection } = await open(reader, undefined)
    await connection.has('caughtUp')
    connection.isReading = false
    const ciphertext = new Uint8Array(4096)
    for (let i = 0; i < 400; i++)
      stream.pushEphemeral({ type: 'ephemeralEvent', convoId, sender: ALICE, ciphertext, epoch: 0 })
    expect(connection.backlog).toBeGreaterThan(MIB)
    expect(connection.backlog).toBeLessThan(MIB + 10_000)
  })

  it('ends by name once, and sends nothing after that', async () => {
    const reader = newReader()
    const convoId = await newConvo(reader.did)
    const { stream, connection, ends } = await open(reader, undefined)
    await connection.has('caughtUp')
    stream.end('shutdown')
    stream.end('slow')
    connection.close()
    await log.add(convoId)
    stream.heartbeat()
    expect(ends).toEqual(['shutdown'])
    expect(connection.infos).toEqual(['caughtUp', 'ShuttingDown'])
  })

  it('tells in a heartbeat that everything up to now has been had, also when nothing of it was for this reader', async () => {
    const [reader, other] = [newReader(), newReader()]
    const convoId = await newConvo(reader.did)
    const { stream, connection } = await open({ ...reader, convoId }, undefined)
    await connection.has('caughtUp')
    const another = await open(other, undefined)
    await another.connection.has('caughtUp')
    const [quiet, unrelated] = [connection.cursors.length, await newConvo(other.did)]
    await log.add(unrelated)
    await vi.waitFor(() => expect(another.connection.seqs).toEqual([1]), { timeout: 5000 })
    stream.heartbeat()
    expect(connection.cursors).toHaveLength(quiet + 1)
    const { since, convoId: scope } = readStreamCursor(connection.cursors.at(-1)!)
    expect(scope).toBe(convoId)
    if (since.kind !== 'snapshot') throw new Error('a heartbeat has no snapshot')
    expect((await log.tail(since.snapshot)).rows).toEqual([])
    stream.end('shutdown')
    expect(readStreamCursor(connection.cursors.at(-1)!).convoId).toBe(convoId)
  })

  it('ends as failed when the past cannot be read', async () => {
    const reader = newReader()
    await newConvo(reader.did)
    const broken = new FakeConnection()
    const ends: CloseReason[] = []
    const faults: unknown[] = []
    const failing = new Stream(
      {
        reader,
        incarnation: INCARNATION,
        tailer,
        query: () => Promise.reject(new Error('the database is away')),
        cursorOf,
        onSent() {},
        onEnd: (reason) => ends.push(reason),
        onFault: (fault) => faults.push(fault),
      },
      START,
    )
    failing.start(broken, await failing.attach(5000), false)
    await vi.waitFor(() => expect(ends).toEqual(['failed']), { timeout: 5000 })
    expect(faults.length).toBe(1)
    expect(broken.isEnded).toBe(true)
    expect(hub.size).toBe(0)
  })
})
