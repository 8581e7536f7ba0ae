import type { Sql } from '@catbird/shared/sql'

/** The transaction that an audit reads in at the moment. */
export class Snapshot {
  #sql: Sql | undefined

  begin(sql: Sql): void {
    this.#sql = sql
  }

  /** Not to be kept over a yield. */
  get sql(): Sql {
    if (!this.#sql) throw new Error('no transaction has begun')
    return this.#sql
  }
}
