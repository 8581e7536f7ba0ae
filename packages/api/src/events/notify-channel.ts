import { sha256Hex } from '@catbird/shared/bytes'
import { RefusalError } from '@catbird/shared/errors'
import { RenewablePool } from '@catbird/shared/renewable-pool'
import { openPool, type Pool, type Sql, withDeadline } from '@catbird/shared/sql'
import type { Logger } from 'pino'
import { Scheduler } from '../jobs/scheduler.ts'

const STATEMENT_MS = 2000
/** Above the database's own deadline: only a connection that has gone silent takes longer. */
const ANSWER_MS = 3000
const PING_MS = 10_000
/** Pings that may be missed before the connection counts as silent. */
const MISSED_PINGS = 2.5
/** The text that shows that the channel works. */
const PING = ''

export type ChannelOptions = {
  databaseUrl: string
  /** Tells the channels of one database apart; seen in pg_stat_activity. */
  name: string
  log: Logger
  pingMs?: number
}

/**
 * Texts from each process to all that are on the same database and schema, itself too, by LISTEN and NOTIFY: at most
 * once, and lost while the connection is. There is one connection to speak and one to hear. The driver opens a lost one
 * again; one on which not even this process's own pings arrive is given up.
 */
export class NotifyChannel {
  readonly #options: Required<ChannelOptions>
  readonly #pool: RenewablePool
  readonly #onText: (text: string) => void
  #channel: string | undefined
  /** The pool whose connection hears. */
  #listening: Pool | undefined
  #heardAtMs = 0
  #pings: Scheduler | undefined

  /** @param onText must not throw */
  constructor(options: ChannelOptions, onText: (text: string) => void) {
    this.#options = { pingMs: PING_MS, ...options }
    const { databaseUrl: url, name } = options
    // Connects with the first statement.
    this.#pool = new RenewablePool(() => openPool(url, { max: 1, name, statementTimeoutMs: STATEMENT_MS }))
    this.#onText = onText
  }

  /** Resolves when texts are heard; rejects when the database is away. Before it nothing can be notified. */
  async start(): Promise<void> {
    const { name, pingMs, log } = this.#options
    this.#channel = await this.#call((sql) => channelOf(sql, name))
    await this.#listen()
    this.#pings = new Scheduler(`ping of ${name}`, pingMs, log, () => this.#ping())
  }

  /** Resolves when they are on their way, kept by nobody. Of equal texts of one call one may arrive. */
  async notify(texts: readonly string[]): Promise<void> {
    const channel = this.#channel
    if (channel === undefined) throw new Error('the channel has not been started')
    await this.#call((sql) => notify(sql, channel, texts))
  }

  async stop(): Promise<void> {
    await this.#pings?.stop(Date.now() + ANSWER_MS)
    await this.#pool.close()
  }

  #call<T>(run: (sql: Pool) => Promise<T>): Promise<T> {
    return this.#pool.call(run, ANSWER_MS, silentDatabase)
  }

  async #listen(): Promise<void> {
    const pool = this.#pool.current
    this.#listening = pool
    this.#heardAtMs = Date.now()
    const hear = (text: string) => {
      // A connection that was given up may still have something to say, which the next one says too.
      if (pool === this.#listening) this.#hear(text)
    }
    await withDeadline(pool.listen(this.#channel!, hear), ANSWER_MS, silentDatabase)
  }

  #hear(text: string): void {
    this.#heardAtMs = Date.now()
    if (text !== PING) this.#onText(text)
  }

  async #ping(): Promise<void> {
    const { name, pingMs, log } = this.#options
    if (Date.now() - this.#heardAtMs > MISSED_PINGS * pingMs) {
      log.warn({ channel: name }, 'Nothing is heard; listening anew')
      this.#pool.renew(this.#pool.current)
    }
    // Another call may have given the pool up.
    if (this.#listening !== this.#pool.current) await this.#listen()
    await this.notify([PING])
  }
}

/** Tests and installations that share a database have schemas of their own. */
async function channelOf(sql: Sql, name: string): Promise<string> {
  const [row] = await sql<[{ schema: string | null }]>`select current_schema() as schema`
  return `catbird ${name} ${sha256Hex(row.schema ?? '').slice(0, 16)}`
}

async function notify(sql: Sql, channel: string, texts: readonly string[]): Promise<void> {
  await sql`
    select set_config('synchronous_commit', 'off', true), pg_notify(${channel}, t.text)
    from unnest(${texts as string[]}::text[]) as t(text)`
}

function silentDatabase(): RefusalError {
  return new RefusalError('DatabaseUnavailable', 'the database did not answer in time')
}
