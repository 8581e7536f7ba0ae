// npm run bench [-- --json] [--quick] [--only engine|http|rows|memory]: benchmarks beside their baseline in one run.
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { migrate } from '@catbird/api/database/migrate'
import { startTemporaryPostgres } from '@catbird/api/database/temporary-postgres'
import type { TestEnv } from '../support/server.ts'
import { measureBaseline } from './baseline.ts'
import { measureActorMemory, measureEngine, measureRowsPerMessage } from './engine-bench.ts'
import { HttpBench } from './http-bench.ts'

type Result = { name: string; value: number; unit: string; ofP?: number; goal?: string }

const CONVERSATIONS = 1000
const CONNECTIONS = 64
const LATENCY_RATE = 500

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string' } },
})
const seconds = values.quick ? 2 : 8
const results: Result[] = []

const report = (details: object, message: string) => console.error(message, details)
const server = await startTemporaryPostgres({ info: () => {}, warn: report, error: report })
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
  const p = baseline.perSecond
  add({ name: `P: ${baseline.program}, ${baseline.clients} clients`, value: p, unit: 'commits/s' })
  if (wants('engine')) await runEngine(url, p)
  if (wants('http')) await runHttp(url, p)
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

async function runEngine(url: string, p: number): Promise<void> {
  for (const kind of ['commit', 'message'] as const) {
    for (const workers of [1, 64, 256]) {
      const value = await measureEngine(url, kind, workers, CONVERSATIONS, seconds)
      const goal = workers === 256 ? '≥ 2.5 P' : undefined
      add({ name: `engine, ${workers} waiting`, value, unit: `${kind}s/s`, ofP: value / p, goal })
    }
  }
}

async function runHttp(url: string, p: number): Promise<void> {
  const modes: { name: string; env: TestEnv; goal?: string }[] = [
    { name: 'actors', env: { SHARD_COUNT: '1' }, goal: '≥ 0.5 P' },
    { name: 'direct', env: { ENABLE_ACTOR_SYSTEM: 'false' } },
  ]
  for (const { name, env, goal } of modes) {
    const bench = await HttpBench.open(url, env, CONVERSATIONS, CONNECTIONS)
    try {
      for (const kind of ['commit', 'message'] as const) {
        const value = await bench.throughput(kind, seconds)
        add({
          name: `HTTP, ${name}, ${CONNECTIONS} connections`,
          value,
          unit: `${kind}s/s`,
          ofP: value / p,
          goal,
        })
      }
      const { p50, p95, p99 } = await bench.latency('message', LATENCY_RATE, seconds)
      add({ name: `HTTP, ${name}, p50 at ${LATENCY_RATE}/s`, value: p50, unit: 'ms' })
      add({ name: `HTTP, ${name}, p95 at ${LATENCY_RATE}/s`, value: p95, unit: 'ms' })
      add({ name: `HTTP, ${name}, p99 at ${LATENCY_RATE}/s`, value: p99, unit: 'ms', goal: goal && '≤ 15' })
    } finally {
      await bench.close()
    }
  }
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
    console.log(JSON.stringify({ machine, results }, null, 2))
    return
  }
  console.log(`\n${machine.cores} × ${machine.cpu}, Node ${machine.node}, ${seconds} s per run\n`)
  for (const { name, value, unit, ofP, goal } of results) {
    const ratio = ofP === undefined ? '' : `${ofP.toFixed(2)} P`
    console.log(
      `${name.padEnd(52)}${format(value).padStart(9)} ${unit.padEnd(12)}${ratio.padStart(7)}  ${goal ?? ''}`,
    )
  }
}

function format(value: number): string {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en')
}
