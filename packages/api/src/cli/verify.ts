// npm run verify [-- --convo <id> | --since 24h] [--json]: audits the database, also while a server runs on it.
// Exit code 1 when anything is wrong.
import { parseArgs } from 'node:util'
import { openPool } from '@catbird/shared/sql'
import { audit } from '../audit/audit.ts'
import { summary } from '../audit/summary.ts'
import { loadConfig } from '../config.ts'
import { openExistingDatabase } from '../database/open-database.ts'
import { cliLogger } from './cli-logger.ts'
import { durationMs } from './duration.ts'
import { runCli } from './run-cli.ts'

const USAGE = 'Usage: npm run -s verify [-- --convo <id> | --since 24h] [--json]'
const STATEMENT_TIMEOUT_MS = 10_000
const DAY_MS = 86_400_000
const UNDEFINED_TABLE = '42P01'

await runCli(async () => {
  const { values } = parseArgs({
    options: { convo: { type: 'string' }, since: { type: 'string' }, json: { type: 'boolean' } },
  })
  if (values.convo !== undefined && values.since !== undefined) throw new Error(USAGE)
  const sinceMs = values.since === undefined ? undefined : Date.now() - durationMs(values.since, '--since')
  const config = loadConfig(process.env, 'tool')
  const messageTtlMs = config.limits.messageTtlDays * DAY_MS
  const database = await openExistingDatabase(config, cliLogger)
  const sql = openPool(database.url, { max: 1, name: 'verify', statementTimeoutMs: STATEMENT_TIMEOUT_MS })
  try {
    const report = await audit(sql, { convoId: values.convo, sinceMs, messageTtlMs })
    if (values.convo !== undefined && report.conversations === 0) {
      throw new Error(`There is no conversation ${values.convo}`)
    }
    console.log(values.json ? JSON.stringify(report, null, 2) : summary(report))
    if (report.violations > 0) process.exitCode = 1
  } catch (error) {
    if ((error as { code?: string }).code !== UNDEFINED_TABLE) throw error
    throw new Error('The database does not have the tables of this server: run "npm run migrate"')
  } finally {
    await sql.end()
    await database.stop()
  }
})
