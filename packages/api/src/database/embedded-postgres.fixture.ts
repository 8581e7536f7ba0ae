// A process that owns an embedded PostgreSQL, for tests that kill it. Arguments: the data directory and what to
// do on SIGINT: `drain` writes a row half a second later and stops, `throw` dies of an exception.
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { startEmbeddedPostgres } from './embedded-postgres.ts'

const [dataDir = '', onSigint] = process.argv.slice(2)
const quiet = () => {}

process.on('SIGINT', async () => {
  if (onSigint === 'throw') throw new Error('as asked')
  await sleep(500)
  await sql`insert into kept values (2)`
  await sql.end()
  await database.stop()
  process.exit(0)
})

const database = await startEmbeddedPostgres({ dataDir, logger: { info: quiet, warn: quiet, error: quiet } })
const sql = postgres(database.url, { max: 1, onnotice: quiet })
await sql`create table if not exists kept (id int)`
await sql`insert into kept values (1)`
process.stdout.write('ready\n')
setInterval(quiet, 60_000)
