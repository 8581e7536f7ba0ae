import { QueryTimer } from '@catbird/shared/query-timer'
import { RenewablePool } from '@catbird/shared/renewable-pool'
import { openPool } from '@catbird/shared/sql'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Frame } from './frame.ts'
import { Hub, type Subscriber } from './hub.ts'
import { INCARNATION, LogFixture } from './log.fixture.ts'
import type { Reader } from './read-memberships.ts'
import type { StreamPosition } from './stream-cursor.ts'
import { Tailer } from './tailer.ts'

const [ALICE, BOB] = ['did:plc:alice', 'did:plc:bob']
let log: LogFixture
let pool: RenewablePool
let hub: Hub
let tailer: Tailer
const warnings: unknown[] = []

beforeAll(async () => {
  log = await LogFixture.create(2)
})
afterAll(() => log.drop())
beforeEach(() => {
  pool = new RenewablePool(() => openPool(log.url, { max: 1, name: 'streams', statementTimeoutMs: 5000 }))
  hub = new Hub()
  tailer = new Tailer({
    pool,
    incarnation: INCARNATION,
    hub,
    timer: new QueryTimer(new Registry()),
    log: { warn: (...all: unknown[]) => void warnings.push(all) } as never,
    cursorOf: (position, convoId) => JSON.stringify({ ...position, convoId }),
  })
})
afterEach(async () => {
  await tailer.stop()
  await pool.close()
})

/** A stream that writes down what it gets. */
class Notebook implements Subscriber {
  readonly reader: Reader
  readonly frames: Frame[] = []
  flushes = 0

  constructor(reader: Reader) {
    this.reader = reader
  }

  push(frame: Frame): void {
    this.frames.push(frame)
  }

  flush(): void {
    this.flushes++
  }

  pushEphemeral(): void {}

  get told(): string[] {
    return this.frames.map(({ event }) => {
      if (event.type === 'messageEvent') return `${event.message.convoId} ${event.message.seq}`
      if (event.type === 'membershipEvent') return `${event.convoId} ${event.did} ${event.action}`
      return event.type === 'infoEvent' ? `${event.convoId} ${event.info}` : `${event.type}`
    })
  }

  async until(told: string): Promise<void> {
    await vi.waitFor(() => expect(this.told).toContain(told), { timeout: 5000, interval: 5 })
  }
}

/** What somebody has not had who has this frame's cursor. */
async function behind(frame: Frame): Promise<string[]> {
  const { since, place } = JSON.parse(frame.cursor('all')) as StreamPosition
  if (since.kind !== 'snapshot') throw new Error('a live event has no snapshot')
  const { rows } = await log.tail(since.snapshot)
  const left = rows.filter(({ convoId, n }) => convoId !== place!.convoId || n > place!.n)
  return left.map(({ convoId, seq }) => `${convoId} ${seq}`)
}

let serial = 0
const newConvo = async (...members: string[]) => {
  const convoId = `ab${serial++}`
  await log.add(convoId, { kind: 'created', added: members })
  return convoId
}

describe('the tailer', () => {
  it('reads nothing while there are no streams', async () => {
    const asked = vi.spyOn(pool, 'call')
    tailer.poke()
    await new Promise((resolve) => setTimeout(resolve, 250))
    expect(asked).not.toHaveBeenCalled()
    expect(tailer.position).toBeUndefined()
    expect(tailer.horizonLagS).toBe(0)
  })

  it('tells a stream what happens after the snapshot that it is attached with, and no more', async () => {
    const convoId = await newConvo(ALICE)
    await log.add(convoId)
    const alice = new Notebook({ did: ALICE })
    const { snapshot } = await tailer.attach(alice)
    expect((await log.tail(snapshot)).rows).toEqual([])
    await log.add(convoId)
    tailer.poke()
    await alice.until(`${convoId} 2`)
    expect(alice.told).toEqual([`${convoId} 2`])
    expect(alice.flushes).toBe(1)
  })

  it('finds what others commit without being told', async () => {
    const convoId = await newConvo(ALICE)
    const alice = new Notebook({ did: ALICE })
    await tailer.attach(alice)
    await log.add(convoId)
    await alice.until(`${convoId} 1`)
  })

  it('lets a stream follow its reader into conversations and out of them', async () => {
    const bob = new Notebook({ did: BOB })
    await tailer.attach(bob)
    const convoId = await newConvo(ALICE)
    await log.add(convoId)
    await log.add(convoId, { kind: 'commit', added: [BOB] })
    await log.add(convoId)
    await log.add(convoId, { kind: 'commit', removed: [BOB] })
    await log.add(convoId)
    await log.add(convoId, { kind: 'commit', added: [BOB] })
    await log.add(convoId, { kind: 'left', removed: [BOB] })
    const last = await newConvo(BOB)
    await bob.until(`${last} ${BOB} joined`)
    expect(bob.told).toEqual([
      `${convoId} 2`,
      `${convoId} ${BOB} joined`,
      `${convoId} 3`,
      `${convoId} 4`,
      `${convoId} ${BOB} removed`,
      `${convoId} membershipEnded`,
      `${convoId} 6`,
      `${convoId} ${BOB} joined`,
      `${convoId} ${BOB} left`,
      `${convoId} membershipEnded`,
      `${last} ${BOB} joined`,
    ])
  })

  it('tells of a Welcome only those it is for, and a stream of one conversation of no other', async () => {
    const convoId = await newConvo(ALICE, BOB)
    const [alice, bob] = [new Notebook({ did: ALICE }), new Notebook({ did: BOB })]
    const filtered = new Notebook({ did: BOB, convoId })
    await Promise.all([alice, bob, filtered].map((stream) => tailer.attach(stream)))
    const other = await newConvo(BOB)
    await log.add(convoId, { kind: 'welcome', added: [BOB] })
    await log.add(convoId)
    for (const stream of [alice, bob, filtered]) await stream.until(`${convoId} 1`)
    expect(alice.told).toEqual([`${convoId} 1`])
    expect(bob.told).toEqual([`${other} ${BOB} joined`, 'welcomeEvent', `${convoId} 1`])
    expect(filtered.told).toEqual(['welcomeEvent', `${convoId} 1`])
  })

  it('encodes an event once for all its readers', async () => {
    const convoId = await newConvo(ALICE, BOB)
    const streams = [ALICE, BOB, ALICE].map((did) => new Notebook({ did }))
    await Promise.all(streams.map((stream) => tailer.attach(stream)))
    await log.add(convoId, { bytes: Buffer.alloc(50_000, 1) })
    for (const stream of streams) await stream.until(`${convoId} 1`)
    const [first, ...others] = streams.map(({ frames }) => frames[0]!.bytes('sse', 'all'))
    for (const other of others) expect(other).toBe(first)
    expect(first!.toString()).toContain(Buffer.alloc(50_000, 1).toString('base64'))
  })

  it('passes no row twice when the database fails half way', async () => {
    const convoId = await newConvo(ALICE)
    const alice = new Notebook({ did: ALICE })
    await tailer.attach(alice)
    await log.begin(0)
    for (let i = 0; i < 6; i++) await log.add(convoId, { bytes: Buffer.alloc(i % 2 === 0 ? 10 : 20_000) }, 0)
    // The read of the rows goes well, and later one for bytes does not.
    const call = pool.call.bind(pool)
    let failures = 0
    vi.spyOn(pool, 'call').mockImplementation(async (run, ms, onDeadline) => {
      if (alice.frames.length === 3 && failures++ === 0) throw new Error('the connection is lost')
      return call(run, ms, onDeadline)
    })
    await log.commit(0)
    await alice.until(`${convoId} 6`)
    expect(failures).toBeGreaterThan(0)
    expect(alice.told).toEqual([1, 2, 3, 4, 5, 6].map((seq) => `${convoId} ${seq}`))
    expect(warnings.length).toBeGreaterThan(0)
  })

  it('reads a great many rows in pages, and attaches streams only between snapshots', async () => {
    const convoId = await newConvo(ALICE, BOB)
    const alice = new Notebook({ did: ALICE })
    await tailer.attach(alice)
    await log.begin(0)
    for (let i = 0; i < 1200; i++) await log.add(convoId, {}, 0)
    await log.commit(0)
    const bob = new Notebook({ did: BOB })
    const { snapshot } = await tailer.attach(bob)
    expect((await log.tail(snapshot)).rows).toEqual([])
    await log.add(convoId)
    await bob.until(`${convoId} 1201`)
    expect(bob.told).toEqual([`${convoId} 1201`])
    expect(alice.told).toEqual(Array.from({ length: 1201 }, (_, i) => `${convoId} ${i + 1}`))
  })

  it('gives each event a cursor of which everything up to it has been had, and nothing else', async () => {
    const [one, two] = [await newConvo(ALICE), await newConvo(ALICE)]
    const alice = new Notebook({ did: ALICE })
    await tailer.attach(alice)
    await log.begin(0)
    await log.add(one, {}, 0)
    await log.add(two)
    await log.add(two)
    await alice.until(`${two} 2`)
    await log.commit(0)
    await alice.until(`${one} 1`)
    expect(alice.told).toEqual([`${two} 1`, `${two} 2`, `${one} 1`])
    for (const [i, frame] of alice.frames.entries()) {
      const rest = await behind(frame)
      expect(rest).toEqual(expect.arrayContaining(alice.told.slice(i + 1)))
      expect(rest).not.toContain(alice.told[i])
    }
  })

  it('gives events that come together a cursor each', async () => {
    const convoId = await newConvo(ALICE)
    const alice = new Notebook({ did: ALICE })
    await tailer.attach(alice)
    await log.begin(0)
    for (let i = 0; i < 4; i++) await log.add(convoId, {}, 0)
    await log.commit(0)
    await alice.until(`${convoId} 4`)
    expect(alice.flushes).toBe(1)
    for (const [i, frame] of alice.frames.entries()) {
      expect(await behind(frame)).toEqual(alice.told.slice(i + 1))
    }
  })

  it('says for how long the oldest transaction has been holding the horizon', async () => {
    const alice = new Notebook({ did: ALICE })
    await tailer.attach(alice)
    await log.begin(0)
    // Only when a later one has ended does it hold anything.
    await newConvo(ALICE)
    for (const seconds of [0.3, 0.6]) {
      await vi.waitFor(() => expect(tailer.horizonLagS).toBeGreaterThan(seconds), { timeout: 5000 })
    }
    await log.commit(0)
    await vi.waitFor(() => expect(tailer.horizonLagS).toBeLessThan(0.3), { timeout: 5000, interval: 5 })
  })

  it('gives a stream of one conversation cursors that are of it alone', async () => {
    const convoId = await newConvo(ALICE)
    const alice = new Notebook({ did: ALICE, convoId })
    await tailer.attach(alice)
    await log.add(convoId)
    await alice.until(`${convoId} 1`)
    const [frame] = alice.frames
    expect(JSON.parse(frame!.cursor('one')).convoId).toBe(convoId)
    expect(JSON.parse(frame!.cursor('all')).convoId).toBeUndefined()
  })

  it('goes on for all others when somebody is added whose stream has ended', async () => {
    const convoId = await newConvo(ALICE)
    const [alice, bob] = [new Notebook({ did: ALICE }), new Notebook({ did: BOB })]
    await Promise.all([tailer.attach(alice), tailer.attach(bob)])
    tailer.detach(bob)
    await log.add(convoId, { kind: 'commit', added: [BOB] })
    await log.add(convoId)
    await alice.until(`${convoId} 2`)
    expect(bob.told).toEqual([])
  })

  it('passes over a message that has expired since its row was read', async () => {
    const convoId = await newConvo(ALICE)
    const alice = new Notebook({ did: ALICE })
    await tailer.attach(alice)
    await log.begin(0)
    for (const size of [10, 20_000, 10]) await log.add(convoId, { bytes: Buffer.alloc(size) }, 0)
    const call = pool.call.bind(pool)
    vi.spyOn(pool, 'call').mockImplementation(async (run, ms, onDeadline) => {
      if (alice.frames.length > 0) await log.sql`delete from log where seq = 2 and convo_id = ${convoId}`
      return call(run, ms, onDeadline)
    })
    await log.commit(0)
    await alice.until(`${convoId} 3`)
    expect(alice.told).toEqual([`${convoId} 1`, `${convoId} 3`])
  })

  it('forgets where it was when its last stream ends', async () => {
    const convoId = await newConvo(ALICE)
    const alice = new Notebook({ did: ALICE })
    await tailer.attach(alice)
    expect(tailer.position).toBeDefined()
    tailer.detach(alice)
    await vi.waitFor(() => expect(tailer.position).toBeUndefined(), { timeout: 5000 })
    await log.add(convoId)
    const bob = new Notebook({ did: ALICE })
    await tailer.attach(bob)
    await log.add(convoId)
    await bob.until(`${convoId} 2`)
    expect(bob.told).toEqual([`${convoId} 2`])
    expect(alice.told).toEqual([])
  })

  it('calls back after what has been committed, and bounds those who wait', async () => {
    const convoId = await newConvo(ALICE)
    const alice = new Notebook({ did: ALICE })
    await tailer.attach(alice)
    await log.add(convoId)
    const heard: { i: number; told: string[] }[] = []
    for (let i = 0; i < 1100; i++) tailer.afterwards(() => heard.push({ i, told: alice.told }))
    await vi.waitFor(() => expect(heard.length).toBeGreaterThan(0), { timeout: 5000 })
    expect(heard).toHaveLength(1000)
    expect(heard.at(-1)).toEqual({ i: 999, told: [`${convoId} 1`] })
    tailer.afterwards(() => heard.push({ i: 1100, told: alice.told }))
    await vi.waitFor(() => expect(heard).toHaveLength(1001), { timeout: 5000 })
  })

  it('lets go of a stream that is given up before it is attached', async () => {
    const alice = new Notebook({ did: ALICE })
    void tailer.attach(alice)
    tailer.detach(alice)
    await tailer.attach(new Notebook({ did: BOB }))
    expect(hub.size).toBe(1)
  })
})
