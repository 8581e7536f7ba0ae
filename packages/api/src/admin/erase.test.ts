import { PgStore } from '@catbird/shard-worker/store/pg-store'
import { sha256Hex } from '@catbird/shared/bytes'
import { systemClock } from '@catbird/shared/clock'
import { newEntryId } from '@catbird/shared/ids'
import { openPool, type Pool } from '@catbird/shared/sql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { audit } from '../audit/audit.ts'
import { ALICE, BOB, History, TRACKED, UNTRACKED, writeHistory } from '../audit/history.fixture.ts'
import { countErasable, countKept } from './count-erasure.ts'
import { deleteConvoRecords, deleteLonelyConvo } from './delete-convo.ts'
import { erase } from './erase.ts'
import { shrinkLog } from './log-rows.ts'
import { deleteWelcomes } from './personal-rows.ts'

const CAROL = 'did:plc:carol'
const LONELY = 'dd'

let database: TestDatabase
let sql: Pool
let store: PgStore
let history: History

beforeEach(async () => {
  database = await createTestDatabase()
  sql = openPool(database.url, { max: 2, name: 'erase', statementTimeoutMs: 5000 })
  const policy = { maxMembers: 1000, messageEpochWindow: 0, messageTtlMs: 1 }
  store = new PgStore({
    url: database.url,
    incarnation: 1,
    clock: systemClock,
    policy,
    name: 'erase',
    lockers: 1,
  })
  await writeHistory(database.url)
  history = new History(database.url, Date.now())
})

afterEach(async () => {
  await Promise.all([sql.end(), store.close(), history.close()])
  await database.drop()
})

const eraseDid = (did: string) => erase({ sql, store, clock: systemClock }, did)

/** A conversation in which Alice alone is left: Bob made it, with records, and a package of his was used up. */
async function writeLonely(): Promise<void> {
  const record = (key: string) => ({ idempotency: { key, contentHash: key } })
  const convoId = LONELY
  await sql`
    insert into key_packages (did, hash, identity, cipher_suite, bytes, last_resort, expires_at, created_at)
    values (${ALICE}, 'hash-alice', ${ALICE}, 's', 'x', false, now() + interval '1 day', now() - interval '2 days')`
  await history.run({
    type: 'createConvo',
    convoId,
    caller: BOB,
    cipherSuite: 's',
    initialMembers: [ALICE],
    epoch: 0,
    welcome: { bytes: Buffer.from('welcome') },
    keyPackages: [{ did: ALICE, hash: 'hash-alice' }],
    ...record('create-lonely'),
  })
  await history.send(convoId, BOB, 0, record('send-lonely'))
  await history.send(convoId, ALICE, 0, record('send-lonely'))
  await history.run({ type: 'leaveConvo', convoId, caller: BOB, target: BOB })
  await sql`insert into cursors (did, convo_id, seq) values (${BOB}, ${LONELY}, 1)`
}

/** Rows by table that belong to a conversation. */
async function rowsOf(convoId: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const table of ['conversations', 'log', 'members', 'welcomes', 'welcome_bytes', 'cursors']) {
    const [row] = await sql.unsafe(`select count(*)::integer as n from ${table} where convo_id = $1`, [
      convoId,
    ])
    counts[table] = row!.n
  }
  return counts
}

describe('erase', () => {
  it('removes exactly what was announced, leaves nothing to remove, and nothing for the audit to find', async () => {
    await writeLonely()
    await sql`update key_packages set reserved_by = ${ALICE}, reserved_until = now() where hash = 'hash-last'`
    for (const did of [ALICE, BOB, CAROL]) {
      const [announced, kept] = [await countErasable(sql, did), await countKept(sql, did)]
      expect(await eraseDid(did)).toEqual(announced)
      const [after, keptAfter] = [await countErasable(sql, did), await countKept(sql, did)]
      expect(Object.values(after).every((count) => count === 0)).toBe(true)
      // Leaving is itself a row.
      expect(keptAfter).toEqual({ ...kept, otherRows: kept.otherRows + announced.left })
      const report = await audit(sql)
      expect(report.first).toEqual([])
      expect(await eraseDid(did)).toEqual(after)
    }
    expect((await audit(sql)).conversations).toBe(0)
    expect(await sql`select from log`).toHaveLength(0)
  })

  it('leaves conversations as their member does, and keeps the log of the others', async () => {
    const before = await sql`select n, bytes, log_hash from log where convo_id = ${TRACKED} order by n`
    await eraseDid(CAROL)
    const [head] = await sql`select creator, version, seq from conversations where convo_id = ${TRACKED}`
    expect(head).toEqual({ creator: BOB, version: String(before.length + 1), seq: '7' })
    const after = await sql`select n, bytes, log_hash from log where convo_id = ${TRACKED} order by n`
    expect(after.slice(0, -1)).toEqual([...before])
    const members = await sql`select did from members where convo_id = ${TRACKED} and left_n is null`
    expect(members).toEqual([{ did: BOB }])
    expect(await sql`select from welcomes where did = ${CAROL}`).toHaveLength(0)
    expect(await sql`select from log where kind = 'welcome' and ${CAROL} = any(added)`).toHaveLength(0)
  })

  it('keeps the bytes of a Welcome that another still needs', async () => {
    const welcome = { bytes: Buffer.from('for two') }
    const initialMembers = [BOB, CAROL]
    const input = { convoId: LONELY, caller: ALICE, cipherSuite: 's', initialMembers, welcome }
    await history.run({ type: 'createConvo', ...input })
    await eraseDid(BOB)
    expect(await rowsOf(LONELY)).toMatchObject({ welcomes: 1, welcome_bytes: 1 })
    await eraseDid(CAROL)
    expect(await rowsOf(LONELY)).toMatchObject({ welcomes: 0, welcome_bytes: 0 })
  })

  it('deletes a conversation without others whole, with what former members have of it', async () => {
    await writeLonely()
    expect(await eraseDid(ALICE)).toMatchObject({ deleted: 1 })
    const none = { conversations: 0, log: 0, members: 0, welcomes: 0, welcome_bytes: 0, cursors: 0 }
    expect(await rowsOf(LONELY)).toEqual(none)
    expect(await sql`select from idempotency where key like '%-lonely'`).toHaveLength(0)
    const [theirs] =
      await sql`select count(*)::integer as count from idempotency where caller in (${BOB}, ${CAROL})`
    expect(theirs!.count).toBe(2)
  })

  it('takes more rows than fit a chunk', async () => {
    await sql`
      insert into key_packages (did, hash, identity, cipher_suite, bytes, last_resort, expires_at, reserved_by)
      select d, 'hash-' || n, d, 's', 'x', false, now(), ${BOB}
      from generate_series(1, 2500) n, unnest(array[${BOB}, ${CAROL}]) d`
    expect(await eraseDid(BOB)).toMatchObject({ keyPackages: 2501, claims: 2500 })
    expect(await sql`select from key_packages where did = ${BOB} or reserved_by = ${BOB}`).toHaveLength(0)
  })

  it('keeps a Welcome that came after it had left', async () => {
    await eraseDid(BOB)
    const commit = { bytes: Buffer.from('commit 3'), sha256: 'aa'.repeat(32), epoch: 3 }
    await history.add(TRACKED, CAROL, [BOB], { commit, welcome: { bytes: Buffer.from('again') } })
    expect(await deleteWelcomes(sql, TRACKED, BOB)).toBe(0)
    const kept = await sql`
      select b.bytes from welcomes w join welcome_bytes b using (entry_id) where w.did = ${BOB}`
    expect(kept).toEqual([{ bytes: Buffer.from('again') }])
  })
})

describe('shrinkLog', () => {
  const onBegin = () => deleteConvoRecords(sql, LONELY)
  const entries = async () =>
    (await sql`select kind from log where convo_id = ${LONELY} and seq is not null order by seq`).map(
      ({ kind }) => kind,
    )

  beforeEach(async () => {
    await writeLonely()
    for (let i = 0; i < 3; i++) await history.send(LONELY, ALICE, 0)
    const commit = { bytes: Buffer.from('commit 0'), sha256: sha256Hex('commit 0'), epoch: 0 }
    await history.add(LONELY, ALICE, [], { commit })
    for (let i = 0; i < 3; i++) await history.send(LONELY, ALICE, 1)
  })

  it('leaves a light log alone', async () => {
    const before = await sql`select * from log where convo_id = ${LONELY} order by n`
    await shrinkLog(sql, LONELY, { onBegin: () => Promise.reject(new Error('it begins')) })
    expect(await sql`select * from log where convo_id = ${LONELY} order by n`).toEqual(before)
  })

  it('expires messages early, which the audit does not take for a loss, and lets the member go on', async () => {
    await shrinkLog(sql, LONELY, { lightBytes: 0, onBegin })
    expect(await entries()).toEqual(['app', 'app', 'commit', 'app'])
    expect((await audit(sql)).first).toEqual([])
    history.nowMs = Date.now()
    await history.send(LONELY, ALICE, 1)
    expect((await audit(sql)).first).toEqual([])
    expect(await sql`select from log where convo_id = ${LONELY} and expires_at > now()`).toHaveLength(1)
    expect(await eraseDid(ALICE)).toMatchObject({ deleted: 1 })
    expect((await audit(sql)).first).toEqual([])
  })

  it('deletes logs of more bytes than one statement takes', async () => {
    await sql`alter table log alter bytes set storage external`
    await sql`
      update log set bytes = repeat('x', 20 * 1048576)::bytea where convo_id = ${LONELY} and kind = 'app'`
    expect(await eraseDid(ALICE)).toMatchObject({ deleted: 1 })
    expect(await entries()).toEqual([])
  })
})

describe('deleteLonelyConvo', () => {
  beforeEach(writeLonely)

  it('deletes nothing that another is in, that has another last member, or that is not there', async () => {
    expect(await deleteLonelyConvo(sql, UNTRACKED, ALICE)).toBe(false)
    expect(await deleteLonelyConvo(sql, LONELY, BOB)).toBe(false)
    expect(await deleteLonelyConvo(sql, 'ff', ALICE)).toBe(false)
    expect((await audit(sql)).conversations).toBe(5)
  })

  it('waits for who holds the row, and then sees the member that was added', async () => {
    let deleted: Promise<boolean> | undefined
    await sql.begin(async (transaction) => {
      await transaction`select from conversations where convo_id = ${LONELY} for no key update`
      deleted = deleteLonelyConvo(sql, LONELY, ALICE)
      await untilSomebodyWaits()
      await transaction`
        insert into members (convo_id, did, joined_n, joined_index, from_seq, joined_at)
        values (${LONELY}, ${CAROL}, 9, 0, 1, now())`
    })
    expect(await deleted).toBe(false)
    expect(await rowsOf(LONELY)).toMatchObject({ conversations: 1 })
  })

  it('takes the guard from a writer that builds on what was deleted', async () => {
    const state = (await store.load([LONELY])).get(LONELY)!
    expect(await deleteLonelyConvo(sql, LONELY, ALICE)).toBe(true)
    const n = state.version + 1
    const event = { kind: 'joined' as const, sender: ALICE, added: [CAROL] }
    const rows = [{ n, event, epoch: 0, atMs: Date.now() }]
    const changes = [{ entryId: newEntryId(), rows, keyPackages: [] }]
    const final = { ...state, version: n }
    const written = await store.write([{ convoId: LONELY, expectedVersion: state.version, changes, final }])
    expect(written.size).toBe(0)
    expect(await rowsOf(LONELY)).toMatchObject({ conversations: 0, log: 0, members: 0 })
  })
})

async function untilSomebodyWaits(): Promise<void> {
  const watcher = openPool(database.url, { max: 1, name: 'watcher', statementTimeoutMs: 5000 })
  for (;;) {
    const [row] = await watcher`
      select exists (
        select from pg_stat_activity
        where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0) as waits`
    if (row!.waits) break
  }
  await watcher.end()
}
