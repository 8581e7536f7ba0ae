import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { DatabaseLogger } from './database-logger.ts'
import type { PostgresBinaries } from './postgres-binaries.ts'
import { canEnter, type SystemUser } from './postgres-user.ts'
import { reachablePlace } from './reachable-place.ts'

/** The role and the database of the embedded PostgreSQL. */
export const EMBEDDED_ROLE = 'catbird'

/** A PostgreSQL cluster on disk, ready to be started. */
export type Cluster = { directory: string; password: string }

/**
 * Finds or makes the cluster of `dataDir`, in `dataDir/postgres`: there itself, or where the postgres user can
 * reach it, with a link left in its place.
 */
export function prepareCluster(
  dataDir: string,
  binaries: PostgresBinaries,
  user: SystemUser | undefined,
  logger: DatabaseLogger,
): Cluster {
  const home = postgresHome(dataDir, user, logger)
  const directory = join(home, 'data')
  const passwordFile = join(home, 'password')
  if (!existsSync(directory)) initialise(directory, passwordFile, binaries, user)
  return { directory, password: readFileSync(passwordFile, 'utf8') }
}

function postgresHome(dataDir: string, user: SystemUser | undefined, logger: DatabaseLogger): string {
  const place = join(dataDir, 'postgres')
  if (!lstatSync(place, { throwIfNoEntry: false })) {
    if (user && !canEnter(dataDir, user)) {
      const elsewhere = reachablePlace(createHash('sha256').update(dataDir).digest('hex').slice(0, 16))
      mkdirSync(elsewhere, { recursive: true })
      symlinkSync(elsewhere, place)
      logger.info(
        {},
        `The postgres user cannot reach ${dataDir}: the data are in ${elsewhere}, linked from ${place}`,
      )
    } else {
      mkdirSync(place)
    }
  }
  if (!existsSync(place)) {
    // Never silently an empty database instead: somebody's data were there.
    throw new Error(
      `${place} links to ${readlinkSync(place)}, which is gone: bring it back or remove the link`,
    )
  }
  const home = realpathSync(place)
  if (user) chownSync(home, user.uid, user.gid)
  chmodSync(home, 0o700)
  return home
}

/** A cluster gets its name only when it is whole: a start killed in initdb leaves nothing in the way. */
function initialise(
  directory: string,
  passwordFile: string,
  binaries: PostgresBinaries,
  user: SystemUser | undefined,
): void {
  const unfinished = `${directory}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  writeFileSync(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 })
  if (user) chownSync(passwordFile, user.uid, user.gid)
  const options = [
    '--encoding=UTF8',
    // Sorts by code point, the same on every machine and for ever: no index depends on a C library's version.
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    '--auth=scram-sha-256',
    `--username=${EMBEDDED_ROLE}`,
    `--pwfile=${passwordFile}`,
  ]
  try {
    execFileSync(binaries.initdb, ['-D', unfinished, ...options], { ...user, cwd: '/', stdio: 'pipe' })
  } catch (error) {
    const { stderr, message } = error as { stderr?: Buffer; message: string }
    throw new Error(`Making the database in ${directory} failed: ${stderr?.toString().trim() || message}`)
  }
  renameSync(unfinished, directory)
}
