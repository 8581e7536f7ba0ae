import { startTemporaryPostgres } from '@catbird/api/database/temporary-postgres'
import type { TestDatabase } from '../postgres.ts'

/** A database on a PostgreSQL of its own, for what others on the same one would notice. */
export async function startOwnDatabaseServer(): Promise<TestDatabase> {
  const report = (details: object, message: string) => console.error(message, details)
  const { url, stop } = await startTemporaryPostgres({ info: () => {}, warn: report, error: report })
  return { url, drop: stop }
}
