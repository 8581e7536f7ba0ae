import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '@catbird/api/database/migrate'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { openSql } from '../postgres.ts'
import { DebianPostgres } from './debian-postgres.ts'
import { type Ran, runScript, type ScriptRun } from './scripts.ts'

/** When PostgreSQL has to be installed first. */
const INSTALL_MS = 12 * 60_000

export type Backups = {
  /** An empty database. */
  newDatabase(): Promise<string>
  /** An empty database with the server's tables. */
  newServerDatabase(): Promise<string>
  /** An empty directory, removed after the test. */
  newDirectory(): Promise<string>
  backUp(url: string, ...args: string[]): Promise<Ran>
  restore(url: string, ...args: string[]): Promise<Ran>
  /** How one of the scripts is run. */
  script(script: string, url: string, ...args: string[]): ScriptRun
}

/** A PostgreSQL with pg_dump, for all tests of a file, and the scripts that use it. */
export function useBackups(): Backups {
  let postgres: DebianPostgres | undefined
  let databases = 0
  beforeAll(async () => {
    postgres = await DebianPostgres.start()
  }, INSTALL_MS)
  afterAll(() => postgres?.stop())
  const newDatabase = () => postgres!.createDatabase(`backup_${++databases}`)
  const script = (name: string, url: string, ...args: string[]) => ({
    script: name,
    args,
    env: { PATH: `${postgres!.bin}:/usr/bin:/bin`, DATABASE_URL: url },
  })
  return {
    newDatabase,
    async newServerDatabase() {
      const url = await newDatabase()
      await migrate(url)
      return url
    },
    async newDirectory() {
      const directory = await mkdtemp(join(tmpdir(), 'catbird-backups-'))
      onTestFinished(() => rm(directory, { recursive: true, force: true }))
      return directory
    },
    backUp: (url, ...args) => runScript(script('backup.sh', url, ...args)),
    restore: (url, ...args) => runScript(script('restore.sh', url, ...args)),
    script,
  }
}

/** The path that a backup prints. */
export function fileOf({ code, stdout, stderr }: Ran): string {
  if (code !== 0) throw new Error(`the backup failed: ${stderr}`)
  return stdout.trim()
}

export function filesIn(directory: string): Promise<string[]> {
  return readdir(directory).then((names) => names.sort())
}

/** Runs one statement, or several, on a connection of its own. */
export async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const sql = openSql(url)
  try {
    return [...(await sql.unsafe(statement))]
  } finally {
    await sql.end()
  }
}
