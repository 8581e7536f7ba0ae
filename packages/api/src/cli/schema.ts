// npm run schema [-- --write | --check]: prints what the migrations make of an empty database, writes it to
// migrations/schema.sql, or fails when that file says something else.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { migrate } from '../database/migrate.ts'
import { dumpSchema } from '../database/schema-dump.ts'
import { startTemporaryPostgres } from '../database/temporary-postgres.ts'
import { cliLogger } from './cli-logger.ts'
import { runCli } from './run-cli.ts'

const FILE = fileURLToPath(new URL('../../../../migrations/schema.sql', import.meta.url))

await runCli(async () => {
  const { values } = parseArgs({ options: { write: { type: 'boolean' }, check: { type: 'boolean' } } })
  const schema = await schemaOfMigrations()
  if (values.write) writeFileSync(FILE, schema)
  else if (values.check) compare(readOrEmpty(FILE), schema)
  else process.stdout.write(schema)
})

async function schemaOfMigrations(): Promise<string> {
  const database = await startTemporaryPostgres({ ...cliLogger, info: () => {} })
  try {
    await migrate(database.url)
    const sql = postgres(database.url, { max: 1 })
    return await dumpSchema(sql).finally(() => sql.end())
  } finally {
    await database.stop()
  }
}

function compare(written: string, wanted: string): void {
  if (written === wanted) return
  const [before, after] = [written.split('\n'), wanted.split('\n')]
  const difference = [
    ...before.filter((line) => !after.includes(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`),
  ]
  throw new Error(
    `migrations/schema.sql is out of date, run "npm run schema -- --write":\n${difference.join('\n')}`,
  )
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
