// Cleans up after a process that died: waits until that process's end of the pipe on stdin closes, then stops its
// PostgreSQL and removes the data directory given as argument.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServerRecord } from './ownership.ts'
import { removeDataDirectory } from './remove-data-directory.ts'
import { stopPostmaster } from './stop-postmaster.ts'

const [dataDir = ''] = process.argv.slice(2)

process.stdin.resume()
process.stdin.on('end', async () => {
  const postmaster = recordedPostmaster()
  if (postmaster) await stopPostmaster(postmaster)
  removeDataDirectory(dataDir)
})

function recordedPostmaster() {
  try {
    const record = JSON.parse(readFileSync(join(dataDir, 'server.json'), 'utf8')) as ServerRecord
    return record.postmaster
  } catch {
    return undefined
  }
}
