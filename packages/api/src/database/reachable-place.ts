import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = '/var/lib/catbird-mls'

/** A path for what the postgres user cannot reach below the checkout or the data directory. */
export function reachablePlace(name: string): string {
  mkdirSync(ROOT, { recursive: true })
  // Whatever the umask.
  chmodSync(ROOT, 0o755)
  return join(ROOT, name)
}
