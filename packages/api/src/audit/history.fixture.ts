import { createHash } from 'node:crypto'
import { PgStore } from '@catbird/shard-worker/store/pg-store'
import type { Answer, Command } from '@catbird/shared/commands'
import { newEntryId } from '@catbird/shared/ids'
import { openPool, type Pool } from '@catbird/shared/sql'
import { cleanUp } from '../jobs/clean-up.ts'

export const DAY_MS = 86_400_000
export const TTL_MS = 30 * DAY_MS
export const ALICE = 'did:plc:alice'
export const BOB = 'did:plc:bob'
const CAROL = 'did:plc:carol'

type Input = { type: Command['type']; convoId: string; caller: string } & Record<string, unknown>

/** Runs real commands at times of the caller's choosing. */
export class History {
  readonly #store: PgStore
  /** Unix ms; a minute passes with each command. */
  nowMs: number

  constructor(url: string, nowMs: number) {
    this.nowMs = nowMs
    this.#store = new PgStore({
      url,
      incarnation: 1,
      clock: { now: () => this.nowMs, sleep: async () => {} },
      policy: { maxMembers: 1000, messageEpochWindow: 0, messageTtlMs: TTL_MS },
      name: 'history',
      lockers: 1,
    })
  }

  async run(input: Input): Promise<Answer> {
    this.nowMs += 60_000
    const base = { requestId: 'r', deadlineMs: Number.POSITIVE_INFINITY, size: 1, keyPackages: [] }
    const command = { ...base, ...input } as unknown as Command
    const { reply } = await this.#store.executeLocked(command, newEntryId())
    if (!reply.ok) throw new Error(JSON.stringify(reply))
    return reply.answer
  }

  send(convoId: string, caller: string, epoch: number, more = {}): Promise<Answer> {
    const bytes = Buffer.from(`message ${this.nowMs}`)
    return this.run({ type: 'sendMessage', convoId, caller, ...hashed(bytes), epoch, ...more })
  }

  add(convoId: string, caller: string, dids: string[], more = {}): Promise<Answer> {
    return this.run({ type: 'addMembers', convoId, caller, dids, ...more })
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}

function hashed(bytes: Buffer) {
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') }
}

/** A commit that ends `epoch`. */
const commit = (epoch: number) => ({ ...hashed(Buffer.from(`commit ${epoch}`)), epoch })
const welcome = { bytes: Buffer.from('welcome') }
const record = (key: string) => ({ idempotency: { key, contentHash: key } })

/** Three conversations: all that can happen, an untracked one, and one whose messages have partly expired. */
export const [TRACKED, UNTRACKED, EXPIRED] = ['aa', 'bb', 'cc'] as const

/** Fills a database with a history in which everything happens, all of it as the server does it. */
export async function writeHistory(url: string): Promise<void> {
  const sql = openPool(url, { max: 1, name: 'history', statementTimeoutMs: 5000 })
  await addKeyPackages(sql)
  const history = new History(url, Date.now() - 3_600_000)
  await writeTracked(history)
  await writeUntracked(history)
  history.nowMs = Date.now() - 50 * DAY_MS
  await writeExpired(history)
  await history.close()
  await sql`insert into cursors (did, convo_id, seq) values (${BOB}, ${TRACKED}, 7), (${ALICE}, ${TRACKED}, 5)`
  await cleanUp(sql)
  await sql.end()
}

async function addKeyPackages(sql: Pool): Promise<void> {
  for (const [did, hash, isLastResort] of [
    [BOB, 'hash-bob', false],
    [CAROL, 'hash-carol', false],
    [CAROL, 'hash-last', true],
  ] as const) {
    await sql`
      insert into key_packages (did, hash, identity, cipher_suite, bytes, last_resort, expires_at, created_at)
      values (${did}, ${hash}, ${did}, 's', 'x', ${isLastResort}, now() + interval '1 day', now() - interval '2 days')`
  }
}

/** Rows 1 to 14, entries 1 to 7, epoch 3; damage is planted by these numbers. */
async function writeTracked(history: History): Promise<void> {
  const convoId = TRACKED
  const packages = (did: string, hash: string) => ({ welcome, keyPackages: [{ did, hash }] })
  const started = { cipherSuite: 's', initialMembers: [BOB], epoch: 0, ...packages(BOB, 'hash-bob') }
  await history.run({ type: 'createConvo', convoId, caller: ALICE, ...started, ...record('create') })
  const first = { commit: commit(0), ...packages(CAROL, 'hash-carol'), ...record('add') }
  await history.add(convoId, ALICE, [CAROL], first)
  await history.send(convoId, ALICE, 1, record('send'))
  await history.send(convoId, BOB, 1, { message: { id: 'chosen', contentHash: 'content' } })
  await history.run({ type: 'leaveConvo', convoId, caller: BOB, target: BOB, ...record('leave') })
  await history.run({
    type: 'leaveConvo',
    convoId,
    caller: CAROL,
    target: BOB,
    commit: commit(1),
    ...record('remove'),
  })
  await history.add(convoId, ALICE, [BOB], { commit: commit(2), ...packages(BOB, 'hash-bob') })
  await history.run({ type: 'leaveConvo', convoId, caller: ALICE, target: ALICE })
  await history.send(convoId, CAROL, 3)
  await history.send(convoId, BOB, 3)
}

/** Epochs 1, 2, 3 without commits, then one that sets the base to 0: rows 1 to 6. */
async function writeUntracked(history: History): Promise<void> {
  const convoId = UNTRACKED
  await history.run({ type: 'createConvo', convoId, caller: ALICE, cipherSuite: 's', initialMembers: [] })
  await history.add(convoId, ALICE, [BOB])
  await history.add(convoId, ALICE, [CAROL])
  await history.run({ type: 'leaveConvo', convoId, caller: ALICE, target: CAROL })
  await history.add(convoId, ALICE, [], { commit: commit(0) })
  await history.send(convoId, ALICE, 1)
}

/** Messages of 50 days ago around a commit and a leave, more at 20 days, and an end that is an expired message. */
async function writeExpired(history: History): Promise<void> {
  for (const convoId of [EXPIRED, `${EXPIRED}00`]) {
    const members = [BOB, CAROL]
    await history.run({
      type: 'createConvo',
      convoId,
      caller: ALICE,
      cipherSuite: 's',
      initialMembers: members,
      epoch: 0,
    })
    for (let i = 0; i < 3; i++) await history.send(convoId, ALICE, 0)
    await history.run({ type: 'leaveConvo', convoId, caller: BOB, target: BOB })
    await history.add(convoId, ALICE, [], { commit: commit(0) })
    for (let i = 0; i < 2; i++) await history.send(convoId, CAROL, 1)
  }
  history.nowMs = Date.now() - 20 * DAY_MS
  for (let i = 0; i < 3; i++) await history.send(EXPIRED, ALICE, 1)
}
