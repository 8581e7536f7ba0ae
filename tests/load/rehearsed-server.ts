import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { systemClock } from '@catbird/shared/clock'
import { keepLogLine } from '../support/log-secrets.ts'

export type ServerPlace = {
  /** The workspace whose server runs. */
  root: string
  port: number
  env: Record<string, string>
}

export type Stopped = { code: number | null; tookMs: number }

const DIE_WITH_PARENT = new URL('../support/die-with-parent.ts', import.meta.url).href
const CRASH_SHARDS = new URL('./crash-shards.ts', import.meta.url).href
const START_MS = 60_000
const STOP_MS = 30_000
const ASK_MS = 20
const KEPT_LINES = 20

/** A server process as an operator runs it, on a port that stays the same over restarts. */
export class RehearsedServer {
  /** Lines of its log at level ERROR. */
  errorLines = 0
  readonly #child: ChildProcess
  readonly #lastLines: string[] = []

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#follow(child.stdout!)
    this.#follow(child.stderr!)
  }

  /** Resolves when it is ready for requests. */
  static async start({ root, port, env }: ServerPlace): Promise<RehearsedServer> {
    const main = join(root, 'packages/api/src/main.ts')
    const child = spawn(process.execPath, ['--import', DIE_WITH_PARENT, '--import', CRASH_SHARDS, main], {
      cwd: root,
      env: { PATH: process.env.PATH, SERVER_PORT: String(port), HOST: '127.0.0.1', ...env },
      stdio: 'pipe',
    })
    const server = new RehearsedServer(child)
    await server.#becomesReady(`http://127.0.0.1:${port}/health/ready`)
    return server
  }

  /** From now on its shards die as soon as they live. */
  crashShards(): void {
    this.#child.kill('SIGUSR2')
  }

  /** As an orchestrator does: SIGTERM, and SIGKILL when that does not help. */
  async stop(): Promise<Stopped> {
    const startedMs = performance.now()
    if (this.#isRunning) {
      const exited = once(this.#child, 'exit')
      this.#child.kill('SIGTERM')
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS)
      await exited
      clearTimeout(timer)
    }
    return { code: this.#child.exitCode, tookMs: performance.now() - startedMs }
  }

  get #isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  async #becomesReady(url: string): Promise<void> {
    const deadlineMs = Date.now() + START_MS
    while (this.#isRunning && Date.now() < deadlineMs) {
      const answer = await fetch(url, { signal: AbortSignal.timeout(1000) }).catch(() => undefined)
      await answer?.body?.cancel()
      if (answer?.ok) return
      await systemClock.sleep(ASK_MS)
    }
    this.#child.kill('SIGKILL')
    throw new Error(`The server did not become ready. Its last lines:\n${this.#lastLines.join('\n')}`)
  }

  #follow(output: Readable): void {
    createInterface({ input: output }).on('line', (line) => {
      keepLogLine(line)
      if (line.includes('"level":"ERROR"')) this.errorLines++
      this.#lastLines.push(line)
      if (this.#lastLines.length > KEPT_LINES) this.#lastLines.shift()
    })
  }
}
