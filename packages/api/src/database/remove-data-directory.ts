import { realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** Removes a data directory with its cluster, wherever that is kept. Nothing may run on it any more. */
export function removeDataDirectory(dataDir: string): void {
  for (const directory of [join(dataDir, 'postgres'), dataDir]) {
    try {
      rmSync(realpathSync(directory), { recursive: true, force: true, maxRetries: 10 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}
