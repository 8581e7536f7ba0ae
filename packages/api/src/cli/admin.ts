// npm run admin -- convo <id> [--dids] | block <did> | unblock <did> | erase <did> [--yes]: looks at a conversation,
// keeps a DID out, removes what is kept of one. Works beside running servers.
import { parseArgs } from 'node:util'
import { isValidDid } from '@atproto/syntax'
import { PgStore } from '@catbird/shard-worker/store/pg-store'
import { systemClock } from '@catbird/shared/clock'
import { openPool, type Pool } from '@catbird/shared/sql'
import { blockDid, unblockDid } from '../admin/blocks.ts'
import { readConvoFacts } from '../admin/convo-facts.ts'
import { countErasable, countKept } from '../admin/count-erasure.ts'
import { erase } from '../admin/erase.ts'
import { describeConvo, describeErasure } from '../admin/texts.ts'
import { type Config, loadConfig } from '../config.ts'
import { currentIncarnation } from '../database/incarnation.ts'
import { openExistingDatabase } from '../database/open-database.ts'
import { cliLogger } from './cli-logger.ts'
import { runCli } from './run-cli.ts'

const USAGE = `Usage: npm run -s admin -- convo <id> [--dids]
       npm run -s admin -- block <did>
       npm run -s admin -- unblock <did>
       npm run -s admin -- erase <did> [--yes]`
const STATEMENT_TIMEOUT_MS = 10_000
const UNDEFINED_TABLE = '42P01'
const DAY_MS = 86_400_000

type Request = { command: string; subject: string; isConfirmed: boolean; showDids: boolean }
type Database = { sql: Pool; url: string; config: Config }
type Run = (database: Database, request: Request) => Promise<string>

const COMMANDS: Record<string, Run> = { convo: showConvo, block, unblock, erase: eraseDid }

await runCli(async () => {
  const request = readRequest()
  const config = loadConfig(process.env, 'tool')
  const database = await openExistingDatabase(config, cliLogger)
  const sql = openPool(database.url, { max: 1, name: 'admin', statementTimeoutMs: STATEMENT_TIMEOUT_MS })
  try {
    console.log(await COMMANDS[request.command]!({ sql, url: database.url, config }, request))
  } catch (error) {
    if ((error as { code?: string }).code !== UNDEFINED_TABLE) throw error
    throw new Error('The database does not have the tables of this server: run "npm run migrate"')
  } finally {
    await sql.end()
    await database.stop()
  }
})

function readRequest(): Request {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { yes: { type: 'boolean', default: false }, dids: { type: 'boolean', default: false } },
  })
  const [command, subject, ...more] = positionals
  const isKnown = command !== undefined && Object.hasOwn(COMMANDS, command)
  if (!isKnown || subject === undefined || more.length > 0) throw new Error(USAGE)
  if ((values.yes && command !== 'erase') || (values.dids && command !== 'convo')) throw new Error(USAGE)
  if (command !== 'convo' && !isValidDid(subject)) throw new Error(`${subject} is not a DID\n${USAGE}`)
  return { command, subject, isConfirmed: values.yes, showDids: values.dids }
}

async function showConvo({ sql }: Database, { subject, showDids }: Request): Promise<string> {
  const facts = await readConvoFacts(sql, subject)
  if (!facts) throw new Error(`There is no conversation ${subject}`)
  return describeConvo(subject, facts, showDids)
}

async function block({ sql }: Database, { subject }: Request): Promise<string> {
  const isNew = await blockDid(sql, subject)
  return isNew
    ? `${subject} is blocked; every running server refuses it within 2 s`
    : `${subject} was blocked already`
}

async function unblock({ sql }: Database, { subject }: Request): Promise<string> {
  const wasBlocked = await unblockDid(sql, subject)
  return wasBlocked
    ? `${subject} is no longer blocked; every running server lets it in within 2 s`
    : `${subject} was not blocked`
}

async function eraseDid(database: Database, { subject, isConfirmed }: Request): Promise<string> {
  const { sql } = database
  if (!isConfirmed) {
    return describeErasure(subject, await countErasable(sql, subject), await countKept(sql, subject), false)
  }
  const store = await openStore(database)
  try {
    const erasure = await erase({ sql, store, clock: systemClock }, subject)
    const text = describeErasure(subject, erasure, await countKept(sql, subject), true)
    if (erasure.failed === 0) return text
    throw new Error(`${text}\nConversations that it could not leave: ${erasure.failed}. Run it again.`)
  } finally {
    await store.close()
  }
}

async function openStore({ sql, url, config: { limits, mls } }: Database): Promise<PgStore> {
  return new PgStore({
    url,
    incarnation: (await currentIncarnation(sql)).incarnation,
    clock: systemClock,
    policy: {
      maxMembers: limits.maxMembers,
      messageEpochWindow: mls.messageEpochWindow,
      messageTtlMs: limits.messageTtlDays * DAY_MS,
    },
    name: 'admin',
    lockers: 1,
  })
}
