import type { Sql } from '@catbird/shared/sql'
import type { Query } from '../database/front-database.ts'

type Position = { did: string; convo_id: string; seq: number }

/**
 * Moves read positions forward. Not conversation state: the greatest wins, whoever writes it. All that come while
 * a write runs share the next one.
 */
export class ReadPositions {
  readonly #query: Query
  #waiting = new Map<string, Position>()
  #running: Promise<void> | undefined

  constructor(query: Query) {
    this.#query = query
  }

  /** Resolves when the position is stored. */
  async advance(did: string, convoId: string, seq: number): Promise<void> {
    const key = `${convoId} ${did}`
    const known = this.#waiting.get(key)
    this.#waiting.set(key, { did, convo_id: convoId, seq: Math.max(seq, known?.seq ?? 0) })
    // What waits now is written by the run after the one that is on its way.
    await this.#running?.catch(() => {})
    this.#running ??= this.#write().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  async #write(): Promise<void> {
    const positions = [...this.#waiting.values()].sort(
      (a, b) => compare(a.did, b.did) || compare(a.convo_id, b.convo_id),
    )
    this.#waiting = new Map()
    if (positions.length === 0) return
    await this.#query('read_positions', (sql) => storePositions(sql, positions))
  }
}

async function storePositions(sql: Sql, positions: readonly Position[]): Promise<void> {
  await sql`
    insert into cursors (did, convo_id, seq)
    select did, convo_id, seq
    from json_to_recordset(${JSON.stringify(positions)}::text::json) as p(did text, convo_id text, seq bigint)
    -- One that was erased meanwhile must not fail the others.
    where exists (select from conversations c where c.convo_id = p.convo_id)
    on conflict (did, convo_id) do update set seq = excluded.seq where cursors.seq < excluded.seq`
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a === b ? 0 : 1
}
