import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { TestClient } from './client.ts'
import { keepLogLine } from './log-secrets.ts'
import { type TestEnv, testEnv } from './server.ts'

const MAIN = fileURLToPath(new URL('../../packages/api/src/main.ts', import.meta.url))
const DIE_WITH_PARENT = new URL('./die-with-parent.ts', import.meta.url).href
const START_MS = 30_000

/** A server in a process of its own, which can be killed. */
export class ServerProcess {
  readonly url: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.url = url
  }

  static async start(databaseUrl: string, env: TestEnv = {}): Promise<ServerProcess> {
    const child = spawn(process.execPath, ['--import', DIE_WITH_PARENT, MAIN], {
      env: { PATH: process.env.PATH, ...testEnv(databaseUrl), LOG_LEVEL: 'info', ...env },
      stdio: 'pipe',
    })
    passOn(child.stderr)
    const port = await portOf(child)
    return new ServerProcess(child, `http://127.0.0.1:${port}`)
  }

  as(did: string): TestClient {
    return new TestClient(this.url, did)
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** Ends the process with a signal and resolves with its exit code, null when the signal ended it. */
  async end(name: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return exitCode
    const exited = once(this.#child, 'exit')
    this.#child.kill(name)
    const [code] = await exited
    return code
  }
}

/** What a server says beside its log, a crash for instance, may hold no secrets either. */
function passOn(stderr: Readable): void {
  createInterface({ input: stderr }).on('line', (line) => {
    keepLogLine(line)
    process.stderr.write(`${line}\n`)
  })
}

/** Reads the start line; goes on reading, so that the pipe never fills. */
function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error('the server did not start in time'))
    }, START_MS)
    child.once('exit', (code) => reject(new Error(`the server ended with code ${code}`)))
    createInterface({ input: child.stdout! }).on('line', (line) => {
      keepLogLine(line)
      // Faults of the server explain failures of the test.
      if (line.includes('"level":"ERROR"')) console.error(line)
      const port = /^Serving on port (\d+)/.exec(messageOf(line))?.[1]
      if (!port) return
      clearTimeout(timer)
      resolve(Number(port))
    })
  })
}

function messageOf(line: string): string {
  try {
    return String(JSON.parse(line).msg)
  } catch {
    return ''
  }
}
