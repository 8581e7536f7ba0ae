// npm run load -- [options]: puts load on a running server and tells what its callers saw. See options.ts.
import { writeFile } from 'node:fs/promises'
import { runCli } from '@catbird/api/cli/run-cli'
import { type Account, findSigning, readAccounts, signAccounts } from './accounts.ts'
import { describeRefusal } from './limit-hits.ts'
import { LoadClient } from './load-client.ts'
import { LoadRun } from './load-run.ts'
import { type LoadOptions, readOptions, USAGE } from './options.ts'
import { makeReport } from './report.ts'
import { reportSvg } from './report-svg.ts'
import { describeReport, describeSecond, ROWS_PER_DECADE } from './terminal.ts'
import { SetupRefused, World } from './world.ts'

/** Servers keep the checked claims of so many tokens. */
const MAX_ACCOUNTS = 10_000
/** Until the load begins. */
const SETUP_CONNECTIONS = 32
const HEALTH_MS = 5000

await runCli(async () => {
  if (process.argv.includes('--help')) return console.log(USAGE)
  const options = readOptions(process.argv.slice(2))
  await requireServer(options.url)
  const accounts = await openAccounts(options)
  const client = new LoadClient(options.url, Math.max(options.pace.concurrency, SETUP_CONNECTIONS))
  try {
    await load(options, client, accounts)
  } finally {
    await client.close()
  }
})

async function load(options: LoadOptions, client: LoadClient, accounts: readonly Account[]): Promise<void> {
  const { url, conversations, members } = options
  console.error(`Creating ${conversations} conversations of ${members} members…`)
  const world = await World.create(client, accounts, options).catch(explainRefusal)
  let seconds = 0
  const run = new LoadRun(client, world, options, {
    onSecond: (second) => console.error(describeSecond(++seconds, second)),
  })
  const result = await run.run(stopOnCtrlC())
  const report = makeReport({ url, conversations, members }, options, result)
  if (options.svg !== undefined) await writeFile(options.svg, reportSvg(report))
  const rows = result.tally.buckets.list(ROWS_PER_DECADE)
  console.log(options.json ? JSON.stringify(report, null, 2) : `\n${describeReport(report, rows)}`)
}

async function openAccounts({ url, tokens, conversations, members, mode, durationMs, pace }: LoadOptions) {
  if (tokens !== undefined) {
    const accounts = await readAccounts(tokens)
    if (accounts.length < members) {
      throw new Error(
        `--tokens: ${accounts.length} tokens are too few for conversations of ${members} members`,
      )
    }
    return accounts
  }
  // Those who create conversations may do so only a few times a minute each.
  const creators = mode === 'churn' ? 3 * (pace.rate ?? 0) : 0
  const count = Math.min(MAX_ACCOUNTS, Math.max(conversations * members, creators))
  return signAccounts(await findSigning(url), count, durationMs)
}

async function requireServer(url: string): Promise<void> {
  const answer = await fetch(`${url}/health/live`, { signal: AbortSignal.timeout(HEALTH_MS) }).catch(
    () => null,
  )
  await answer?.body?.cancel()
  if (!answer?.ok)
    throw new Error(`No server answers at ${url}. Start one (npm start), or choose one with --url`)
}

function explainRefusal(error: unknown): never {
  if (!(error instanceof SetupRefused)) throw error
  const isLimit = error.body.error === 'RateLimitExceeded'
  const isToken = /Token|Jwt|Authentication/.test(String(error.body.error))
  const hint = isLimit
    ? describeRefusal(error.body)
    : isToken
      ? 'Run this where the server runs, with the same JWT_SECRET, SERVICE_DID and DATA_DIR, or give --tokens.'
      : ''
  throw new Error(`The conversations could not be created: ${error.message}. ${hint}`.trimEnd())
}

/** The first Ctrl-C ends the load and gives the report; the second ends the process. */
function stopOnCtrlC(): AbortSignal {
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  return stop.signal
}
