import type { QueryTimer } from '@catbird/shared/query-timer'
import type { RenewablePool } from '@catbird/shared/renewable-pool'
import type { Pool } from '@catbird/shared/sql'

/** Asks the database under a name that its time is measured by. */
export type Query = <T>(name: string, run: (sql: Pool) => Promise<T>) => Promise<T>

/** The front's own connections, for reads and for writes that are not conversation state. */
export class FrontDatabase {
  readonly #pool: RenewablePool
  readonly #timer: QueryTimer

  constructor(pool: RenewablePool, timer: QueryTimer) {
    this.#pool = pool
    this.#timer = timer
  }

  /** Of whatever the database does with them, the connections that are used now. */
  get pool(): Pool {
    return this.#pool.current
  }

  /** Has no deadline of its own: whoever is answering a request has one. */
  readonly query: Query = (name, run) => this.#timer.time(name, () => this.#pool.use(run))

  /** Gives connections up that do not answer. */
  renew(lost: Pool): void {
    this.#pool.renew(lost)
  }
}
