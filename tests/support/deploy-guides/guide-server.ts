import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, readFileSync, type WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { isDeepStrictEqual } from 'node:util'
import { ROOT } from '../deploy/scripts.ts'
import { eventually } from '../eventually.ts'
import { keepLogLine } from '../log-secrets.ts'

const MAIN = `${ROOT}packages/api/src/main.ts`
const DIE_WITH_PARENT = new URL('../die-with-parent.ts', import.meta.url).href
const SHARD_THREADS = new URL('../shard-threads.ts', import.meta.url).href
/** Preloaded: on SIGUSR2 its shards die once. */
const END_SHARDS = `import { killShardThreads } from '${SHARD_THREADS}'; process.on('SIGUSR2', killShardThreads)`
const START_MS = 30_000

/** A server that stands for the container of the guides: made anew, it has new settings and a new log. */
export class GuideServer {
  readonly url: string
  readonly logFile: string
  readonly #env: Record<string, string>
  #child: ChildProcess | undefined
  #log: WriteStream | undefined
  #settings: Record<string, string> = {}

  /** @param env with a SERVER_PORT of its own */
  constructor(env: Record<string, string>, logFile: string) {
    this.url = `http://localhost:${env.SERVER_PORT}`
    this.#env = env
    this.logFile = logFile
  }

  runsWith(settings: Record<string, string>): boolean {
    return this.#child !== undefined && isDeepStrictEqual(this.#settings, settings)
  }

  /** Resolves when it is ready, with these settings beside its own. */
  async start(settings: Record<string, string> = {}): Promise<void> {
    const preloaded = ['--import', DIE_WITH_PARENT, '--import', `data:text/javascript,${END_SHARDS}`]
    const child = spawn(process.execPath, [...preloaded, MAIN], {
      env: { PATH: process.env.PATH, ...this.#env, ...settings },
      stdio: 'pipe',
    })
    this.#child = child
    this.#settings = settings
    this.#log = createWriteStream(this.logFile)
    for (const output of [child.stdout!, child.stderr!]) {
      createInterface({ input: output }).on('line', (line) => this.#keep(line))
    }
    await eventually('a server that is ready', () => this.#isReady(), START_MS)
  }

  /** As `docker stop`: SIGTERM, and the exit code. */
  async stop(): Promise<number | null> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const ended = once(child, 'close')
    child.kill('SIGTERM')
    await ended
    this.#log!.end()
    return child.exitCode
  }

  get hasLostShards(): boolean {
    return this.log.includes('Shard is down')
  }

  async endShards(): Promise<void> {
    this.#child!.kill('SIGUSR2')
    await eventually('a shard that is down', () => this.hasLostShards)
    await eventually('shards that are back', () => this.#isReady())
  }

  get log(): string {
    return readFileSync(this.logFile, 'utf8')
  }

  #keep(line: string): void {
    keepLogLine(line)
    this.#log!.write(`${line}\n`)
  }

  async #isReady(): Promise<boolean> {
    if (this.#child!.exitCode !== null) throw new Error(`the server ended: ${this.log}`)
    const answer = await fetch(`${this.url}/health/ready`).catch(() => undefined)
    await answer?.body?.cancel()
    return answer?.ok === true
  }
}
