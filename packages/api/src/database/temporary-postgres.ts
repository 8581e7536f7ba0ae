import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, realpathSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DatabaseLogger } from './database-logger.ts'
import { type RunningDatabase, startEmbeddedPostgres } from './embedded-postgres.ts'
import { removeDataDirectory } from './remove-data-directory.ts'

const REAPER = fileURLToPath(new URL('./temporary-postgres-reaper.ts', import.meta.url))

/**
 * A PostgreSQL with an empty database, for tests and tools. Nothing of it is left behind after `stop`, nor after
 * this process died without it, even by SIGKILL.
 */
export async function startTemporaryPostgres(
  logger: DatabaseLogger,
  settings?: Record<string, string>,
): Promise<RunningDatabase> {
  const dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'catbird-temporary-')))
  // mkdtemp makes it 0700, which would keep the postgres user out.
  chmodSync(dataDir, 0o755)
  // Detached: Ctrl-C must end this process, not the one that cleans up after it.
  const reaper = spawn(process.execPath, [REAPER, dataDir], {
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  reaper.unref()
  const pipe = reaper.stdin as Socket
  pipe.unref()
  const cleanUp = () => {
    removeDataDirectory(dataDir)
    reaper.kill('SIGKILL')
  }
  try {
    const database = await startEmbeddedPostgres({ dataDir, logger, settings })
    return { url: database.url, stop: () => database.stop().then(cleanUp) }
  } catch (error) {
    cleanUp()
    throw error
  }
}
