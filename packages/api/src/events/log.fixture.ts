import { randomUUID } from 'node:crypto'
import { openPool, type Pool, type Sql } from '@catbird/shared/sql'
import postgres from 'postgres'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import type { LogRow } from './log-row.ts'
import { readSnapshot, readTail } from './read-tail.ts'
import type { Snapshot } from './snapshot.ts'

export const INCARNATION = 1

type Kind = LogRow['kind']
export type NewRow = {
  kind?: Kind
  added?: string[]
  removed?: string[]
  sender?: string
  bytes?: Buffer
  expiresAt?: Date
}

/** A log that transactions of several connections write, as far as their conversations' rows allow, in any order. */
export class LogFixture {
  readonly sql: Pool
  readonly #connections: ReturnType<typeof postgres>[]
  readonly #database: TestDatabase
  readonly #open = new Map<number, { id: number; convos: Set<string>; commit(): Promise<void>; tx: Sql }>()
  readonly #heads = new Map<string, { n: number; seq: number; pos: number }>()

  private constructor(database: TestDatabase, connections: number) {
    this.#database = database
    this.sql = openPool(database.url, { max: 2, name: 'test', statementTimeoutMs: 5000 })
    this.#connections = Array.from({ length: connections }, () => postgres(database.url, { max: 1 }))
  }

  static async create(connections: number): Promise<LogFixture> {
    return new LogFixture(await createTestDatabase(), connections)
  }

  get url(): string {
    return this.#database.url
  }

  async drop(): Promise<void> {
    for (const i of [...this.#open.keys()]) await this.commit(i)
    await Promise.all([this.sql.end(), ...this.#connections.map((sql) => sql.end())])
    await this.#database.drop()
  }

  /** Begins a transaction that has an id and has written nothing. */
  async begin(i: number): Promise<void> {
    const begun = Promise.withResolvers<{ id: number; tx: Sql }>()
    const done = Promise.withResolvers<void>()
    const running = this.#connections[i]!.begin(async (sql) => {
      const [row] = await sql<[{ id: string }]>`select pg_current_xact_id()::text as id`
      begun.resolve({ id: Number(row.id), tx: sql as unknown as Sql })
      await done.promise
    })
    const commit = async () => {
      done.resolve()
      await running
    }
    this.#open.set(i, { ...(await begun.promise), convos: new Set(), commit })
  }

  isOpen(i: number): boolean {
    return this.#open.has(i)
  }

  /** Whether a transaction could have the conversation, and is younger than who wrote there last. */
  mayAdd(convoId: string, i?: number): boolean {
    const own = i === undefined ? undefined : this.#open.get(i)!
    const isTaken = [...this.#open.values()].some((open) => open !== own && open.convos.has(convoId))
    return !isTaken && (own?.id ?? Number.POSITIVE_INFINITY) >= (this.#heads.get(convoId)?.pos ?? 0)
  }

  /** Adds a row in an open transaction, which then has the conversation; otherwise in one of its own. */
  async add(convoId: string, row: NewRow = {}, i?: number): Promise<number> {
    const open = i === undefined ? undefined : this.#open.get(i)!
    const head = this.#heads.get(convoId) ?? { n: 0, seq: 0, pos: 0 }
    const { kind = 'app' } = row
    const isEntry = kind === 'app' || kind === 'commit'
    head.n++
    if (isEntry) head.seq++
    this.#heads.set(convoId, head)
    head.pos = await insertRow(open?.tx ?? this.sql, convoId, head, { ...row, kind })
    open?.convos.add(convoId)
    return head.n
  }

  async commit(i: number): Promise<void> {
    await this.#open.get(i)!.commit()
    this.#open.delete(i)
  }

  /** What is shown now. */
  async now(): Promise<Snapshot> {
    return (await readSnapshot(this.sql, INCARNATION)).snapshot
  }

  tail(since: Snapshot, more: Partial<Parameters<typeof readTail>[1]> = {}) {
    return readTail(this.sql, { incarnation: INCARNATION, since, limit: 1000, ...more })
  }
}

/** One statement, like the engine's, so that head and row have one position. */
async function insertRow(
  sql: Sql,
  convoId: string,
  { n, seq }: { n: number; seq: number },
  { kind, added = [], removed = [], sender = 'did:plc:alice', bytes, expiresAt }: NewRow & { kind: Kind },
): Promise<number> {
  const isEntry = kind === 'app' || kind === 'commit'
  const [row] = await sql<[{ pos: number }]>`
    with head as (
      insert into conversations (convo_id, cipher_suite, creator, tracking, epoch, seq, version, log_hash, last_at,
        created_at, incarnation, pos)
      values (${convoId}, 's', ${sender}, 'tracked', 0, ${seq}, ${n}, '\\x00', now(), now(), ${INCARNATION},
        pg_current_xact_id()::text::bigint)
      on conflict (convo_id) do update set seq = excluded.seq, version = excluded.version, pos = excluded.pos,
        last_at = now()
      returning 1
    ),
    opened as (
      insert into members (convo_id, did, joined_n, joined_index, from_seq, joined_at)
      select ${convoId}, did, ${n}, i, ${Math.max(seq, 1)}, now()
      from unnest(${added}::text[]) with ordinality as a(did, i), head where ${kind !== 'welcome'}
    ),
    closed as (
      update members set left_n = ${n}, to_seq = ${seq}, left_at = now()
      where convo_id = ${convoId} and did = any(${removed}::text[]) and left_n is null
    )
    insert into log (convo_id, n, seq, kind, epoch, sender, bytes, entry_id, message_id, added, removed, log_hash,
      created_at, expires_at, incarnation, pos)
    select ${convoId}, ${n}, ${isEntry ? seq : null}, ${kind}, ${n}, ${sender},
      ${isEntry ? (bytes ?? Buffer.from(`${convoId} ${n}`)) : null}, ${randomUUID()},
      ${isEntry ? `m${n}` : null}, ${added}, ${removed}, ${isEntry ? Buffer.alloc(32, n) : null}, now(),
      ${expiresAt ?? null}, ${INCARNATION}, pg_current_xact_id()::text::bigint
    from head
    returning pos::float8 as pos`
  return row.pos
}
