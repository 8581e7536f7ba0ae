import { signAccounts } from '../load/accounts.ts'
import type { FrameKind } from '../load/frame-writer.ts'
import { LoadClient } from '../load/load-client.ts'
import { LoadRun, type Pace } from '../load/load-run.ts'
import { type Latency, latencyOf } from '../load/report.ts'
import { sum, type Tally } from '../load/tally.ts'
import { World } from '../load/world.ts'
import { TEST_AUDIENCE, TEST_SECRET } from '../support/identity.ts'
import type { TestEnv } from '../support/server.ts'
import { ServerProcess } from '../support/server-process.ts'

const MEMBERS = 20
const HOUR_MS = 3_600_000
const MODES = { message: 'send', commit: 'commit' } as const satisfies Record<FrameKind, string>

/** A server process, its load generator in this one, and conversations of 20 members. */
export class HttpBench {
  readonly #server: ServerProcess
  readonly #client: LoadClient
  readonly #world: World
  readonly #connections: number

  private constructor(server: ServerProcess, client: LoadClient, world: World, connections: number) {
    this.#server = server
    this.#client = client
    this.#world = world
    this.#connections = connections
  }

  static async open(
    databaseUrl: string,
    env: TestEnv,
    conversations: number,
    connections: number,
  ): Promise<HttpBench> {
    const server = await ServerProcess.start(databaseUrl, env)
    const signing = { secret: TEST_SECRET, audience: TEST_AUDIENCE }
    const accounts = await signAccounts(signing, MEMBERS, HOUR_MS)
    const client = new LoadClient(server.url, connections)
    const world = await World.create(client, accounts, { conversations, members: MEMBERS })
    return new HttpBench(server, client, world, connections)
  }

  /** Most requests per second: every connection sends its next request when the last is answered. */
  async throughput(kind: FrameKind, seconds: number): Promise<number> {
    const { tally, measuredMs } = await this.#run(kind, seconds, undefined)
    return (sum(tally.accepted.values()) * 1000) / measuredMs
  }

  /** Latency at a given rate, from the moment a request was due: a server that falls behind is not let off. */
  async latency(kind: FrameKind, perSecond: number, seconds: number): Promise<Latency> {
    const { tally } = await this.#run(kind, seconds, perSecond)
    return latencyOf(tally)
  }

  async close(): Promise<void> {
    await this.#client.close()
    await this.#server.end()
  }

  async #run(kind: FrameKind, seconds: number, rate: number | undefined) {
    const pace: Pace = { rate, arrivals: 'constant', concurrency: this.#connections }
    const plan = { mode: MODES[kind], pace, durationMs: seconds * 1000, retryForMs: 0 }
    const result = await new LoadRun(this.#client, this.#world, plan).run()
    requireNoRefusals(result.tally)
    return result
  }
}

function requireNoRefusals({ refused, errors }: Tally): void {
  const names = [...refused, ...errors].map(([name, count]) => `${name} ${count}`)
  if (names.length > 0) throw new Error(`not all requests were accepted: ${names.join(', ')}`)
}
