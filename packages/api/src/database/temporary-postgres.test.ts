import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ServerRecord } from './ownership.ts'
import { isAlive } from './process-identity.ts'

const FILE = fileURLToPath(new URL('./temporary-postgres.ts', import.meta.url))

let temporary: string

beforeEach(() => {
  // 0700: so that as root the cluster is kept elsewhere and has to be found there.
  temporary = mkdtempSync(join(tmpdir(), 'catbird-case-'))
})

afterEach(() => rmSync(temporary, { recursive: true, force: true }))

/** Another process that starts one and then runs `script`. */
function startUser(script: string) {
  const source = `
    import { startTemporaryPostgres } from ${JSON.stringify(FILE)}
    const quiet = () => {}
    const database = await startTemporaryPostgres({ info: quiet, warn: quiet, error: quiet })
    ${script}`
  const args = ['--input-type=module', '-e', source]
  return spawn(process.execPath, args, {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

describe('startTemporaryPostgres', () => {
  it('leaves nothing behind after stop', async () => {
    const [code] = await once(startUser('await database.stop()'), 'exit')
    expect(code).toBe(0)
    expect(readdirSync(temporary)).toEqual([])
  })

  it('leaves nothing behind after a SIGKILL', async () => {
    const user = startUser("console.log('ready'); setInterval(quiet, 1000)")
    await once(user.stdout, 'data')
    const dataDir = join(temporary, readdirSync(temporary)[0]!)
    const { postmaster } = JSON.parse(
      readFileSync(join(dataDir, 'server.json'), 'utf8'),
    ) as Required<ServerRecord>
    user.kill('SIGKILL')
    await expect.poll(() => existsSync(dataDir), { timeout: 10_000 }).toBe(false)
    expect(isAlive(postmaster)).toBe(false)
  })
})
