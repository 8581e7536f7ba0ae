import type { Command } from '@catbird/shared/commands'
import { openPool, type Pool, type Sql, withDeadline } from '@catbird/shared/sql'
import type { FactKeys, Facts } from '../conversation/facts.ts'
import type { ConvoState } from '../conversation/state.ts'
import type { LockedTransaction } from './execute-locked.ts'
import { toStoreError } from './failures.ts'
import { inspect } from './inspect.ts'
import { loadConversations, lockConversation } from './load-conversations.ts'
import { loadFacts } from './load-facts.ts'
import { type Begin, type LockedContext, runLocked } from './run-locked.ts'
import {
  type Inspection,
  type InspectionKey,
  type LockedResult,
  type Store,
  StoreError,
  type Unit,
} from './store.ts'
import { writeUnits } from './write-units.ts'

export type PgStoreOptions = LockedContext & {
  url: string
  incarnation: number
  name: string
  /** Connections for reads and for commands under a row's lock; opened when needed. */
  readers: number
}

/** The server ends a statement after this; what hangs longer hangs in the network. */
const STATEMENT_TIMEOUT_MS = 2000
/** The local deadline: past it the connection is given up and the outcome of a write is unknown. */
const CALL_TIMEOUT_MS = 4000

/** The database as the engine sees it: batches have a connection of their own, so that no read waits for a write. */
export class PgStore implements Store {
  readonly #options: PgStoreOptions
  #writer: Pool
  #reader: Pool

  constructor(options: PgStoreOptions) {
    this.#options = options
    this.#writer = this.#open('writer')
    this.#reader = this.#open('reader')
  }

  load(convoIds: string[]): Promise<Map<string, ConvoState>> {
    return this.#read((sql) => loadConversations(sql, convoIds))
  }

  facts(keys: FactKeys[]): Promise<Facts[]> {
    return this.#read((sql) => loadFacts(sql, keys))
  }

  inspect(keys: InspectionKey[]): Promise<Inspection[]> {
    return this.#read((sql) => inspect(sql, keys))
  }

  write(units: Unit[]): Promise<Set<string>> {
    return this.#call('writer', (sql) => writeUnits(sql, this.#options.incarnation, units))
  }

  executeLocked(command: Command, entryId: string): Promise<LockedResult> {
    const begin: Begin = (run) =>
      this.#call(
        'reader',
        (pool) => pool.begin((sql) => run(this.#transaction(sql))) as ReturnType<typeof run>,
      )
    return runLocked(begin, command, entryId, this.#options)
  }

  #transaction(sql: Sql): LockedTransaction {
    return {
      lock: (convoId) => lockConversation(sql, convoId),
      load: (convoIds) => loadConversations(sql, convoIds),
      facts: (keys) => loadFacts(sql, keys),
      inspect: (keys) => inspect(sql, keys),
      write: (units) => writeUnits(sql, this.#options.incarnation, units),
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#writer.end({ timeout: 1 }), this.#reader.end({ timeout: 1 })])
  }

  #read<T>(run: (sql: Sql) => Promise<T>): Promise<T> {
    return this.#call('reader', run)
  }

  async #call<T>(role: 'writer' | 'reader', run: (sql: Pool) => Promise<T>): Promise<T> {
    const pool = role === 'writer' ? this.#writer : this.#reader
    try {
      return await withDeadline(run(pool), CALL_TIMEOUT_MS, () => new StoreError('unknown', 'deadline'))
    } catch (error) {
      const failure = toStoreError(error)
      if (failure.failure === 'unknown') this.#replace(role, pool)
      throw failure
    }
  }

  /** Gives a connection up for good: what still runs on it must not answer a later call. */
  #replace(role: 'writer' | 'reader', lost: Pool): void {
    if (role === 'writer' && this.#writer === lost) this.#writer = this.#open(role)
    if (role === 'reader' && this.#reader === lost) this.#reader = this.#open(role)
    void lost.end({ timeout: 0 })
  }

  #open(role: 'writer' | 'reader'): Pool {
    const { url, name, readers } = this.#options
    const max = role === 'writer' ? 1 : readers
    return openPool(url, { max, name: `${name} ${role}`, statementTimeoutMs: STATEMENT_TIMEOUT_MS })
  }
}
