import type { Query } from '../database/front-database.ts'

/**
 * The DIDs that operators have blocked, as of the last refresh: asked on every request, read from the database every
 * few seconds. While the database is away the last known ones stay blocked. Only operators add to them.
 */
export class BlockedDids {
  readonly #query: Query
  #dids: ReadonlySet<string> = new Set()
  #refreshes = 0

  constructor(query: Query) {
    this.#query = query
  }

  has(did: string): boolean {
    return this.#dids.has(did)
  }

  /** Rejects when the database cannot be read; what is known stays. */
  async refresh(): Promise<void> {
    const refresh = ++this.#refreshes
    const rows = await this.#query(
      'blocked_dids',
      (sql) => sql<{ did: string }[]>`select did from blocked_dids`,
    )
    // One that hung may come back after a later one.
    if (refresh === this.#refreshes) this.#dids = new Set(rows.map(({ did }) => did))
  }
}
