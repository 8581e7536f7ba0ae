import type { ActorReport } from '@catbird/shared/shard-protocol'
import { type Sql, withDeadline } from '@catbird/shared/sql'
import type { Query } from '../database/front-database.ts'
import type { ShardClient } from '../shards/shard-client.ts'
import type { Place, Placement } from './placement.ts'

const DATABASE_MS = 2000
/** Questions to the database at once: the console must not take connections from clients. */
const MAX_ASKING = 2

/** Where a conversation stands in the database: no DID, no name, no bytes. */
type StoredConvo = {
  epoch: number
  seq: number
  members: number
  tracking: string
  createdAt: Date
  lastAt: Date
}

export type FoundConvo = {
  convoId: string
  /** Null when there is no such conversation. */
  stored: StoredConvo | null
  place: Place
  /** Null when its shard did not answer; absent when it has no actor by the roll-out. */
  actor?: ActorReport | null
}

export class TooManyLookups extends Error {}
export class DatabaseSilent extends Error {}

/** Looks single conversations up. */
export class ConvoFinder {
  readonly #query: Query
  readonly #placement: Placement
  readonly #shards: readonly ShardClient[]
  #asking = 0

  constructor(query: Query, placement: Placement, shards: readonly ShardClient[]) {
    this.#query = query
    this.#placement = placement
    this.#shards = shards
  }

  async find(convoId: string): Promise<FoundConvo> {
    const place = this.#placement.placeOf(convoId)
    const shard = place.shard === undefined ? undefined : this.#shards[place.shard]
    const [stored, actor] = await Promise.all([
      this.#stored(convoId),
      shard?.describeActor(convoId).catch(() => null),
    ])
    return { convoId, stored, place, actor }
  }

  /** A question past the deadline goes on, until the database itself ends it; it counts until then. */
  async #stored(convoId: string): Promise<StoredConvo | null> {
    if (this.#asking >= MAX_ASKING) throw new TooManyLookups('too many lookups at once')
    this.#asking++
    const reading = this.#query('console_lookup', (sql) => readConvo(sql, convoId)).finally(() => {
      this.#asking--
    })
    return withDeadline(reading, DATABASE_MS, () => new DatabaseSilent('the database did not answer in time'))
  }
}

async function readConvo(sql: Sql, convoId: string): Promise<StoredConvo | null> {
  const [row] = await sql<StoredConvo[]>`
    select c.epoch::float8 as epoch, c.seq::float8 as seq, c.tracking,
      (select count(*)::integer from members m where m.convo_id = c.convo_id and m.left_n is null) as members,
      c.created_at as "createdAt", c.last_at as "lastAt"
    from conversations c where c.convo_id = ${convoId}`
  return row ?? null
}
