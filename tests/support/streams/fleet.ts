import type { Random } from '../../engine/random.ts'
import { TestClient } from '../client.ts'
import type { TestEnv } from '../server.ts'
import { ServerProcess } from '../server-process.ts'

/** A server with actors and one without. */
export const BOTH_EXECUTORS: readonly TestEnv[] = [{ SHARD_COUNT: '2' }, { ENABLE_ACTOR_SYSTEM: 'false' }]

/** Both on one database, each in a process of its own; at times one is down. */
export class Fleet {
  readonly #databaseUrl: string
  readonly #random: Random
  readonly #servers: (ServerProcess | undefined)[] = []
  readonly #clients = new Map<string, TestClient>()

  private constructor(databaseUrl: string, random: Random) {
    this.#databaseUrl = databaseUrl
    this.#random = random
  }

  static async start(databaseUrl: string, random: Random): Promise<Fleet> {
    const fleet = new Fleet(databaseUrl, random)
    await Promise.all(BOTH_EXECUTORS.map((_, index) => fleet.startOne(index)))
    return fleet
  }

  get urls(): string[] {
    return this.#servers.flatMap((server) => server?.url ?? [])
  }

  /** @param url of the server to ask, as long as it is up; otherwise any is asked */
  as(did: string, url?: string): TestClient {
    const { urls } = this
    const chosen = url !== undefined && urls.includes(url) ? url : this.#random.pick(urls)
    const key = `${chosen} ${did}`
    const client = this.#clients.get(key) ?? new TestClient(chosen, did)
    this.#clients.set(key, client)
    return client
  }

  async startOne(index: number): Promise<void> {
    this.#servers[index] = await ServerProcess.start(this.#databaseUrl, {
      // Messages that are sent beside a commit are accepted.
      MESSAGE_EPOCH_WINDOW: '10',
      ...BOTH_EXECUTORS[index],
    })
  }

  /** Ends a process without a chance to do anything first. */
  async kill(index: number): Promise<void> {
    const server = this.#servers[index]
    this.#servers[index] = undefined
    await server?.end('SIGKILL')
  }

  /** Ends all as an operator does; resolves with their exit codes. */
  async stop(): Promise<(number | null)[]> {
    const running = this.#servers.splice(0).filter((server) => server !== undefined)
    return Promise.all(running.map((server) => server.end()))
  }
}
