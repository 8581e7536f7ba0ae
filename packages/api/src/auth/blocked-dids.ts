import type { Sql } from '@catbird/shared/sql'

/**
 * The DIDs that operators have blocked, as of the last refresh: asked on every request, read from the database every
 * few seconds. While the database is away the last known ones stay blocked. Only operators add to them.
 */
export class BlockedDids {
  readonly #sql: () => Sql
  #dids: ReadonlySet<string> = new Set()
  #refreshes = 0

  /** @param sql gives the pool to use now */
  constructor(sql: () => Sql) {
    this.#sql = sql
  }

  has(did: string): boolean {
    return this.#dids.has(did)
  }

  /** Rejects when the database cannot be read; what is known stays. */
  async refresh(): Promise<void> {
    const refresh = ++this.#refreshes
    const rows = await this.#sql()<{ did: string }[]>`select did from blocked_dids`
    // One that hung may come back after a later one.
    if (refresh === this.#refreshes) this.#dids = new Set(rows.map(({ did }) => did))
  }
}
