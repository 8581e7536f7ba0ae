import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'

/**
 * The secret of development tokens: JWT_SECRET, or with the embedded database one made once and kept beside it.
 * Undefined when the server has a database of its own and was given none: then there are no such tokens.
 */
export async function devSecret({
  auth,
  database,
}: Pick<Config, 'auth' | 'database'>): Promise<string | undefined> {
  if (auth.jwtSecret !== undefined || database.url !== undefined) return auth.jwtSecret
  await mkdir(database.dataDir, { recursive: true })
  const path = join(database.dataDir, 'jwt-secret')
  try {
    await writeFile(path, randomBytes(32).toString('base64url'), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return (await readFile(path, 'utf8')).trim()
}
