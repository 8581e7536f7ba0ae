import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'

/** Transactions of somebody else on the same database server, which have ids and write nothing. */
export type ForeignTransactions = { stop(): Promise<void> }

const SHORT_MS = 40

/** One that goes on until it is stopped; resolves when it has begun. */
export async function holdTransaction(url: string): Promise<ForeignTransactions> {
  const sql = postgres(url, { max: 1 })
  const begun = Promise.withResolvers<void>()
  const over = Promise.withResolvers<void>()
  const running = sql.begin(async (transaction) => {
    await transaction`select pg_current_xact_id()`
    begun.resolve()
    await over.promise
  })
  running.catch(begun.reject)
  await begun.promise
  return {
    async stop() {
      over.resolve()
      await running
      await sql.end()
    },
  }
}

/** One after the other on each of so many connections, each some milliseconds long, so that they overlap. */
export function runShortTransactions(url: string, connections: number): ForeignTransactions {
  const sql = postgres(url, { max: connections })
  let isOver = false
  const run = async (_: unknown, index: number) => {
    while (!isOver) {
      await sql.begin(async (transaction) => {
        await transaction`select pg_current_xact_id()`
        await sleep((index * 7) % SHORT_MS)
      })
    }
  }
  const running = Promise.all(Array.from({ length: connections }, run))
  running.catch(() => {})
  return {
    async stop() {
      isOver = true
      await running
      await sql.end()
    },
  }
}
