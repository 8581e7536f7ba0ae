// npm run migrate: brings the database to the newest schema and says what that took.
import { loadConfig } from '../config.ts'
import { migrate } from '../database/migrate.ts'
import { openDatabase } from '../database/open-database.ts'
import { cliLogger } from './cli-logger.ts'
import { runCli } from './run-cli.ts'

await runCli(async () => {
  const database = await openDatabase(loadConfig(process.env, 'tool'), cliLogger)
  try {
    const applied = await migrate(database.url)
    console.log(applied.length > 0 ? applied.map((name) => `applied ${name}`).join('\n') : 'up to date')
  } finally {
    await database.stop()
  }
})
