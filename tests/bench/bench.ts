// npm run bench [-- --json] [--quick] [--only auth|engine|http|streams|rows|memory]: benchmarks and
// their baseline in one run.
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { migrate } from '@catbird/api/database/migrate'
import { startTemporaryPostgres } from '@catbird/api/database/temporary-postgres'
import type { TestEnv } from '../support/server.ts'
import { measureAuth } from './auth-bench.ts'
import { type Baseline, measureBaseline } from './baseline.ts'
import { measureActorMemory, measureEngine, measureRowsPerMessage } from './engine-bench.ts'
import { HttpBench } from './http-bench.ts'
import { measureIdleStreams } from './idle-streams-bench.ts'
import { measureDeliveries, measureDeliveryLatency } from './streams-bench.ts'

/** `isRate`: is shown as a multiple of P, which is the mean of P before and after. */
type Result = { name: string; value: number; unit: string; isRate?: boolean; goal?: string }

const CONVERSATIONS = 1000
const CONNECTIONS = 64
const LATENCY_RATE = 500
/** `behind`: how many messages the slowest reader may lack when the next one is sent. */
const DELIVERIES = [
  { form: 'sse', behind: 16 },
  { form: 'sse', behind: 1 },
  { form: 'cbor', behind: 16 },
] as const
const FORM_NAMES = { sse: 'SSE', cbor: 'WebSocket' }
/** A checkpoint would fall on one measurement and not on its baseline: there is none while the benchmark runs. */
const SETTINGS = { max_wal_size: '16GB', checkpoint_timeout: '1h' }

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string' } },
})
const seconds = values.quick ? 2 : 8
const results: Result[] = []
const baselines: number[] = []

const report = (details: object, message: string) => console.error(message, details)
const server = await startTemporaryPostgres({ info: () => {}, warn: report, error: report }, SETTINGS)
try {
  await migrate(server.url)
  await run(server.url)
} finally {
  await server.stop()
}
print()

async function run(url: string): Promise<void> {
  const wants = (part: string) => values.only === undefined || values.only === part
  const baseline = await measureBaseline(url, Math.ceil(seconds / 2))
  addBaseline('P before', baseline)
  if (wants('auth')) await runAuth()
  // Latency comes first: its tail is several times longer right after a minute at saturation.
  if (wants('streams')) await runStreamLatency(url)
  if (wants('http')) await runHttp(url)
  if (wants('streams')) {
    await runStreamDeliveries(url)
    await runIdleStreams(url)
  }
  if (wants('engine')) await runEngine(url)
  addBaseline('P after', await measureBaseline(url, Math.ceil(seconds / 2), [baseline.clients]))
  if (wants('rows')) {
    for (const members of [2, 1000]) {
      const value = await measureRowsPerMessage(url, members)
      add({ name: `rows written per message, ${members} members`, value, unit: 'rows', goal: 'the same' })
    }
  }
  if (wants('memory')) {
    const actors = values.quick ? 10_000 : 100_000
    const bytes = await measureActorMemory(url, actors)
    add({
      name: `heap per idle actor, 20 members, ${actors} actors`,
      value: bytes,
      unit: 'bytes',
      goal: '≤ 2048',
    })
  }
}

async function runAuth(): Promise<void> {
  const goals = { ES256K: '≤ 100', ES256: '≤ 140' }
  for (const cost of await measureAuth(values.quick ? 2000 : 8000)) {
    const { algorithm, ours, routeWithAuth, routeWithoutAuth, xrpcServer } = cost
    add({ name: `authentication, ${algorithm}`, value: ours, unit: 'µs CPU', goal: goals[algorithm] })
    add({ name: `empty route with it, ${algorithm}`, value: routeWithAuth, unit: 'µs CPU' })
    add({ name: 'empty route without it', value: routeWithoutAuth, unit: 'µs CPU' })
    add({ name: `the same by @atproto/xrpc-server, ${algorithm}`, value: xrpcServer, unit: 'µs CPU' })
    add({ name: `times cheaper, ${algorithm}`, value: xrpcServer / ours, unit: '×', goal: '≥ 10' })
  }
}

async function runEngine(url: string): Promise<void> {
  for (const kind of ['commit', 'message'] as const) {
    for (const workers of [1, 64, 256]) {
      const value = await measureEngine(url, kind, workers, CONVERSATIONS, seconds)
      const goal = workers === 256 ? '≥ 2.5 P' : undefined
      add({ name: `engine, ${workers} waiting`, value, unit: `${kind}s/s`, isRate: true, goal })
    }
  }
}

async function runHttp(url: string): Promise<void> {
  const modes: { name: string; env: TestEnv; goal?: string }[] = [
    { name: 'actors', env: { SHARD_COUNT: '1' }, goal: '≥ 0.5 P' },
    { name: 'direct', env: { ENABLE_ACTOR_SYSTEM: 'false' } },
  ]
  for (const { name, env, goal } of modes) {
    const bench = await HttpBench.open(url, env, CONVERSATIONS, CONNECTIONS)
    try {
      const { p50, p95, p99 } = await bench.latency('message', LATENCY_RATE, seconds)
      add({ name: `HTTP, ${name}, p50 at ${LATENCY_RATE}/s`, value: p50, unit: 'ms' })
      add({ name: `HTTP, ${name}, p95 at ${LATENCY_RATE}/s`, value: p95, unit: 'ms' })
      add({ name: `HTTP, ${name}, p99 at ${LATENCY_RATE}/s`, value: p99, unit: 'ms', goal: goal && '≤ 15' })
      for (const kind of ['commit', 'message'] as const) {
        const value = await bench.throughput(kind, seconds)
        add({
          name: `HTTP, ${name}, ${CONNECTIONS} connections`,
          value,
          unit: `${kind}s/s`,
          isRate: true,
          goal,
        })
      }
    } finally {
      await bench.close()
    }
  }
}

async function runStreamLatency(url: string): Promise<void> {
  const load = { streams: 500, membersEach: 10, perSecond: LATENCY_RATE, seconds }
  const { expected, missing, p50, p95, p99, max } = await measureDeliveryLatency(url, load)
  const name = (what: string) => `event at the reader, 500 streams, ${LATENCY_RATE}/s: ${what}`
  add({ name: name('came'), value: expected - missing, unit: 'events' })
  add({ name: name('missing'), value: missing, unit: 'events', goal: '0' })
  add({ name: name('p50'), value: p50, unit: 'ms', goal: '≤ 3' })
  add({ name: name('p95'), value: p95, unit: 'ms' })
  add({ name: name('p99'), value: p99, unit: 'ms', goal: '≤ 15' })
  add({ name: name('max'), value: max, unit: 'ms' })
}

async function runStreamDeliveries(url: string): Promise<void> {
  for (const { form, behind } of DELIVERIES) {
    const value = await measureDeliveries(url, { form, readers: 1000, behind, seconds })
    const isBatched = behind > 1
    const name = `1000 readers, ${FORM_NAMES[form]}, ${isBatched ? `${behind} messages on their way` : 'one at a time'}`
    add({ name, value, unit: 'events/s', goal: isBatched ? '≥ 50 000' : undefined })
  }
}

async function runIdleStreams(url: string): Promise<void> {
  const { streams, resident, heap } = await measureIdleStreams(url, values.quick ? 1000 : 2000)
  add({
    name: `memory per idle stream, ${streams} streams`,
    value: resident,
    unit: 'bytes',
    goal: '≤ 30 720',
  })
  add({ name: 'of that heap and buffers', value: heap, unit: 'bytes' })
}

function addBaseline(when: string, { program, clients, perSecond }: Baseline): void {
  baselines.push(perSecond)
  add({ name: `${when}: ${program}, ${clients} clients`, value: perSecond, unit: 'commits/s', isRate: true })
}

/** A database that has grown is slower for everybody: P before and after stand for the time between. */
function meanBaseline(): number {
  return baselines.reduce((sum, value) => sum + value, 0) / baselines.length
}

function add(result: Result): void {
  results.push(result)
  if (!values.json) console.error(`${result.name}: ${format(result.value)} ${result.unit}`)
}

function print(): void {
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    node: process.version,
    secondsPerRun: seconds,
  }
  if (values.json) {
    console.log(JSON.stringify({ machine, meanBaseline: meanBaseline(), results }, null, 2))
    return
  }
  console.log(`\n${machine.cores} × ${machine.cpu}, Node ${machine.node}, ${seconds} s per run\n`)
  for (const { name, value, unit, isRate, goal } of results) {
    const ratio = isRate ? `${(value / meanBaseline()).toFixed(2)} P` : ''
    console.log(
      `${name.padEnd(52)}${format(value).padStart(9)} ${unit.padEnd(12)}${ratio.padStart(7)}  ${goal ?? ''}`,
    )
  }
}

function format(value: number): string {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en')
}
