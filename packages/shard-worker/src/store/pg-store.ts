import type { Command } from '@catbird/shared/commands'
import { RenewablePool } from '@catbird/shared/renewable-pool'
import { openPool, type Pool, type Sql } from '@catbird/shared/sql'
import pLimit, { type LimitFunction } from 'p-limit'
import type { FactKeys, Facts } from '../conversation/facts.ts'
import type { ConvoState } from '../conversation/state.ts'
import type { LockedTransaction } from './execute-locked.ts'
import { toStoreError } from './failures.ts'
import { inspect } from './inspect.ts'
import { loadConversations, lockConversation } from './load-conversations.ts'
import { loadFacts } from './load-facts.ts'
import { type Begin, type LockedContext, runLocked } from './run-locked.ts'
import {
  CONCURRENT_WRITES,
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
  /** Connections for commands that run under a row's lock; so many run at once, the others wait their turn. */
  lockers: number
}

/** The server ends a statement after this; what hangs longer hangs in the network. */
const STATEMENT_TIMEOUT_MS = 2000
/** The local deadline: past it the connection is given up and the outcome of a write is unknown. */
const CALL_TIMEOUT_MS = 4000

/**
 * The database as the engine sees it. Batches, reads, and commands that wait for a row have connections of their own,
 * opened when needed, so that none of them waits for another kind.
 */
export class PgStore implements Store {
  readonly #options: PgStoreOptions
  /** One connection each: a lost one takes only its own write with it. */
  readonly #writers: RenewablePool[]
  readonly #reader: RenewablePool
  readonly #locker: RenewablePool
  /** Turns are taken here and not in the pool, so that waiting for one does not count as a silent connection. */
  readonly #turn: LimitFunction

  constructor(options: PgStoreOptions) {
    const { url, name, lockers } = options
    const open = (role: string, max: number) =>
      new RenewablePool(() =>
        openPool(url, { max, name: `${name} ${role}`, statementTimeoutMs: STATEMENT_TIMEOUT_MS }),
      )
    this.#options = options
    this.#writers = Array.from({ length: CONCURRENT_WRITES }, () => open('writer', 1))
    this.#reader = open('reader', 1)
    this.#locker = open('locker', lockers)
    this.#turn = pLimit(lockers)
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
    const writer = this.#writers.reduce((best, pool) => (pool.calls < best.calls ? pool : best))
    return call(writer, (sql) => writeUnits(sql, this.#options.incarnation, units))
  }

  executeLocked(command: Command, entryId: string): Promise<LockedResult> {
    const begin: Begin = (run) =>
      call(
        this.#locker,
        (pool) => pool.begin((sql) => run(this.#transaction(sql))) as ReturnType<typeof run>,
        isOneOfMany,
      )
    return this.#turn(() => runLocked(begin, command, entryId, this.#options))
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
    await Promise.all([...this.#writers, this.#reader, this.#locker].map((pool) => pool.close()))
  }

  #read<T>(run: (sql: Sql) => Promise<T>): Promise<T> {
    return call(this.#reader, run)
  }
}

type Run<T> = (sql: Pool) => Promise<T>
type IsLost = (error: unknown) => boolean

/** The next call would still be given the connection that is ending. */
const isConnectionLost: IsLost = (error) => toStoreError(error).failure === 'unknown'
/** The others of the pool go on. */
const isOneOfMany: IsLost = () => false

async function call<T>(pool: RenewablePool, run: Run<T>, isLost = isConnectionLost): Promise<T> {
  try {
    return await pool.call(run, CALL_TIMEOUT_MS, () => new StoreError('unknown', 'deadline'), isLost)
  } catch (error) {
    throw toStoreError(error)
  }
}
