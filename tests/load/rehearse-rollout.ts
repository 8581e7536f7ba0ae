// deploy/rehearse-rollout [options]: rehearses the roll-out of the actors and both ways back, under load, with real
// server processes. Exit code 1 when anything that was acknowledged is lost, the history is not sound, a server did not
// end as it should, or a way back took longer than its goal.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { audit } from '@catbird/api/audit/audit'
import { summary } from '@catbird/api/audit/summary'
import { runCli } from '@catbird/api/cli/run-cli'
import { startTemporaryPostgres } from '@catbird/api/database/temporary-postgres'
import { openPool } from '@catbird/shared/sql'
import type { Ledger, LedgerReport } from './ledger.ts'
import { openPreviousVersion } from './previous-version.ts'
import { faultsOf, rehearse, type StepReport } from './rehearsal.ts'
import { duration, percentiles, total } from './terminal.ts'

const USAGE = `Usage: deploy/rehearse-rollout [options]
  --step-seconds <n>   how long each step is watched; 20
  --rate <n>           requests per second; 100
  --conversations <n>  100
  --previous <rev>     the version that the full rollback goes to; the newest tag, or what came before the newest migration
  --database <url>     a database for rehearsals, where the conversations that are made stay; otherwise a temporary
                       PostgreSQL is started. DATABASE_URL is not looked at: it may be that of the server`

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const STATEMENT_MS = 30_000

await runCli(async () => {
  if (process.argv.includes('--help')) return console.log(USAGE)
  const { stepMs, rate, conversations, revision, databaseUrl } = readOptions()
  const database = await openDatabase(databaseUrl)
  const previous = openPreviousVersion(ROOT, revision)
  // Servers and the temporary database end with this process.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      previous.remove()
      process.exit(1)
    })
  }
  const faults: string[] = []
  try {
    const { ledger, exitCode } = await rehearse({
      databaseUrl: database.url,
      root: ROOT,
      previous,
      port: await freePort(),
      rate,
      stepMs,
      conversations,
      signing: { secret: randomBytes(32).toString('base64url'), audience: 'did:web:rehearsal.invalid' },
      onStep: (step) => {
        console.log(describeStep(step))
        faults.push(...faultsOf(step).map((fault) => `${step.name}: ${fault}`))
      },
    })
    if (exitCode !== 0) faults.push(`the end: the last server ended with ${exitCode}`)
    const sound = await isSound(database.url, ledger)
    console.log(describeFaults(faults))
    if (!sound || faults.length > 0) process.exitCode = 1
  } finally {
    previous.remove()
    await database.stop()
  }
})

function readOptions() {
  const text = { type: 'string' } as const
  const options = { 'step-seconds': text, rate: text, conversations: text, previous: text, database: text }
  let values: Record<string, string | undefined>
  try {
    values = parseArgs({ options }).values
  } catch (error) {
    throw new Error(`${(error as Error).message}\n\n${USAGE}`)
  }
  const integer = (name: string, fallback: number, max: number): number => {
    const given = values[name] ?? String(fallback)
    const value = Number(given)
    if (/^\d+$/.test(given) && value >= 1 && value <= max) return value
    throw new Error(`--${name} must be a whole number from 1 to ${max}\n\n${USAGE}`)
  }
  return {
    stepMs: integer('step-seconds', 20, 3600) * 1000,
    rate: integer('rate', 100, 10_000),
    conversations: integer('conversations', 100, 10_000),
    revision: values.previous,
    databaseUrl: values.database,
  }
}

async function openDatabase(url?: string): Promise<{ url: string; stop(): Promise<void> }> {
  if (url !== undefined) return { url, stop: async () => {} }
  const report = (details: object, message: string) => console.error(message, details)
  return startTemporaryPostgres({ info: () => {}, warn: report, error: report })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function describeStep(step: StepReport): string {
  const line = (name: string, value: string) => `  ${name.padEnd(26)}${value}`
  const { goalMs, longestWithoutWriteMs, restartMs, exitCode } = step
  const isMet = goalMs === undefined || longestWithoutWriteMs <= goalMs
  const goal = goalMs === undefined ? '' : `, goal ≤ ${duration(goalMs)}: ${isMet ? 'met' : 'MISSED'}`
  return [
    `\n${step.name}`,
    ...(restartMs > 0
      ? [line('restart', `${duration(restartMs)}, the server before ended with ${exitCode}`)]
      : []),
    line('requests', `${step.requests}, accepted ${step.accepted}`),
    line('expected refusals', total(step.expectedRefusals)),
    line('errors', total(step.errors)),
    line('asked again after', total(step.repeated)),
    line('latency', percentiles(step.latency)),
    line(
      'longest without an answer',
      `${duration(step.longestWithoutAnswerMs)}, without a write ` +
        `${duration(longestWithoutWriteMs)}${goal}`,
    ),
    line('ERROR lines in the log', String(step.errorLines)),
  ].join('\n')
}

function describeFaults(faults: string[]): string {
  if (faults.length === 0) return '\nEvery step was as it should be'
  return ['\nNot as it should be', ...faults.map((fault) => `  ${fault}`)].join('\n')
}

async function isSound(databaseUrl: string, ledger: Ledger): Promise<boolean> {
  const sql = openPool(databaseUrl, { max: 1, name: 'rehearsal', statementTimeoutMs: STATEMENT_MS })
  try {
    const history = await ledger.check(sql)
    const audited = await audit(sql)
    console.log(`\nHistory\n${describeHistory(history)}\n${summary(audited)}`)
    return history.problems.length === 0 && audited.violations === 0
  } finally {
    await sql.end()
  }
}

function describeHistory({ acknowledged, refused, unknown, unknownStored, problems }: LedgerReport): string {
  const lines = [
    `  ${acknowledged} writes acknowledged, ${refused} refused, ${unknown} without a final answer (${unknownStored} of them stored)`,
    ...problems.map((problem) => `  WRONG: ${problem}`),
  ]
  if (problems.length === 0)
    lines.push('  every acknowledged write is stored once, no refused one is, and nothing else is')
  return lines.join('\n')
}
