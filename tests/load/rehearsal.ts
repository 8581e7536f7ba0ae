import { systemClock } from '@catbird/shared/clock'
import { type Signing, signAccounts } from './accounts.ts'
import { Ledger } from './ledger.ts'
import { LoadClient } from './load-client.ts'
import { LoadRun } from './load-run.ts'
import type { Version } from './previous-version.ts'
import { RehearsedServer } from './rehearsed-server.ts'
import { type Latency, latencyOf } from './report.ts'
import { sum, type Tally } from './tally.ts'
import { World } from './world.ts'

export type RehearsalOptions = {
  databaseUrl: string
  /** Of this version. */
  root: string
  previous: Version
  port: number
  rate: number
  stepMs: number
  conversations: number
  signing: Signing
  onStep: (step: StepReport) => void
}

/** What clients saw from the moment the server was told to stop until the next step. */
export type StepReport = {
  name: string
  /** What the stop of the server before ended with; 0 is as it should be. */
  exitCode: number | null
  /** From SIGTERM until the next server was ready. */
  restartMs: number
  requests: number
  accepted: number
  expectedRefusals: Record<string, number>
  errors: Record<string, number>
  repeated: Record<string, number>
  latency: Latency
  longestWithoutAnswerMs: number
  longestWithoutWriteMs: number
  goalMs: number | undefined
  errorLines: number
}

/** What of a step is not as it should be, for people. */
export function faultsOf({
  exitCode,
  goalMs,
  longestWithoutWriteMs,
}: Pick<StepReport, 'exitCode' | 'goalMs' | 'longestWithoutWriteMs'>): string[] {
  const faults: string[] = []
  if (exitCode !== 0) faults.push(`the server before ended with ${exitCode}`)
  if (goalMs !== undefined && longestWithoutWriteMs > goalMs)
    faults.push(`${Math.round(longestWithoutWriteMs)} ms without a write, more than ${goalMs} ms`)
  return faults
}

type Step = { name: string; env: Record<string, string>; root?: string; goalMs?: number }

const MEMBERS = 4
const HOUR_MS = 3_600_000
/** Callers want their messages to be sent: they give up long after any restart. */
const RETRY_FOR_MS = 60_000
/** All who are asking again while nothing is written. */
const CONCURRENCY = 4096
const CONNECTIONS = 256
const QUICK_GOAL_MS = 5000
const FULL_GOAL_MS = 10_000

const OFF = { ENABLE_ACTOR_SYSTEM: 'false' }
const percent = (share: number) => ({ ENABLE_ACTOR_SYSTEM: 'true', ACTOR_ROLLOUT_PERCENT: String(share) })
const ROLL_OUT: Step[] = [
  ...[1, 10, 50, 100].map((share) => ({ name: `actors for ${share} %`, env: percent(share) })),
  { name: 'off again', env: OFF, goalMs: QUICK_GOAL_MS },
  { name: 'actors for 100 %', env: percent(100) },
]

export type Rehearsed = {
  /** What every write came to. */
  ledger: Ledger
  /** What the stop of the last server ended with; 0 is as it should be. */
  exitCode: number | null
}

/** Takes a server under load through a roll-out and both ways back, until the last server has been stopped. */
export async function rehearse(options: RehearsalOptions): Promise<Rehearsed> {
  const { port, rate, conversations, signing } = options
  const rehearsal = new Rehearsal(options)
  await rehearsal.start({ name: 'off', env: OFF })
  const client = new LoadClient(`http://127.0.0.1:${port}`, CONNECTIONS)
  try {
    const accounts = await signAccounts(signing, conversations * MEMBERS, HOUR_MS)
    const world = await World.create(client, accounts, { conversations, members: MEMBERS })
    const pace = { rate, arrivals: 'poisson', concurrency: CONCURRENCY } as const
    const plan = { mode: 'mixed', pace, durationMs: Infinity, retryForMs: RETRY_FOR_MS } as const
    const ledger = new Ledger()
    const run = new LoadRun(client, world, plan, { observe: (outcome) => ledger.observe(outcome) })
    const end = new AbortController()
    const loaded = run.run(end.signal)
    await Promise.race([rehearsal.takeSteps(run), loaded])
    end.abort()
    await loaded
    return { ledger, exitCode: await rehearsal.stop() }
  } finally {
    await client.close()
    await rehearsal.stop()
  }
}

class Rehearsal {
  readonly #options: RehearsalOptions
  #server: RehearsedServer | undefined
  #isOver = false
  #restart = { exitCode: 0 as number | null, tookMs: 0 }

  constructor(options: RehearsalOptions) {
    this.#options = options
  }

  async takeSteps(run: LoadRun): Promise<void> {
    const { previous } = this.#options
    await this.#observe(run, { name: 'off', env: OFF })
    for (const step of ROLL_OUT) await this.#take(run, step)
    this.#server?.crashShards()
    await this.#observe(run, { name: 'shards crash again and again', env: {} })
    await this.#take(run, { name: 'quick rollback: off', env: OFF, goalMs: QUICK_GOAL_MS })
    const name = `full rollback: ${previous.about}`
    await this.#take(run, { name, env: OFF, root: previous.root, goalMs: FULL_GOAL_MS })
  }

  async start({ env, root = this.#options.root }: Step): Promise<void> {
    const { databaseUrl, port, signing } = this.#options
    const fixed = {
      DATABASE_URL: databaseUrl,
      SERVICE_DID: signing.audience,
      JWT_SECRET: signing.secret,
      // Limits are no part of a roll-out, and every client here comes from one place.
      RATE_LIMIT_ENABLED: 'false',
    }
    this.#server = await RehearsedServer.start({ root, port, env: { ...fixed, ...env } })
  }

  /** Resolves with what the server ended with. */
  async stop(): Promise<number | null> {
    this.#isOver = true
    const stopped = await this.#server?.stop()
    return stopped?.code ?? null
  }

  async #take(run: LoadRun, step: Step): Promise<void> {
    const startedMs = performance.now()
    const { code } = await this.#server!.stop()
    // The load has failed: nobody needs another server.
    if (this.#isOver) throw new Error('the rehearsal has been ended')
    await this.start(step)
    this.#restart = { exitCode: code, tookMs: performance.now() - startedMs }
    await this.#observe(run, step)
  }

  async #observe(run: LoadRun, { name, goalMs }: Step): Promise<void> {
    const errorLines = this.#server!.errorLines
    await systemClock.sleep(this.#options.stepMs)
    const tally = run.cut()
    this.#options.onStep({
      ...summarize(tally),
      name,
      goalMs,
      exitCode: this.#restart.exitCode,
      restartMs: this.#restart.tookMs,
      errorLines: this.#server!.errorLines - errorLines,
    })
    this.#restart = { exitCode: 0, tookMs: 0 }
  }
}

function summarize(tally: Tally) {
  const { any, writes } = tally.silences()
  return {
    requests: tally.offered,
    accepted: sum(tally.accepted.values()),
    expectedRefusals: Object.fromEntries(tally.refused),
    errors: Object.fromEntries(tally.errors),
    repeated: Object.fromEntries(tally.repeated),
    latency: latencyOf(tally),
    longestWithoutAnswerMs: any,
    longestWithoutWriteMs: writes,
  }
}
