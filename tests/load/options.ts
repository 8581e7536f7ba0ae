import { parseArgs } from 'node:util'
import { ARRIVALS, type Arrivals } from './arrivals.ts'
import type { LoadPlan } from './load-run.ts'
import { MODES, type Mode } from './operations.ts'

export const USAGE = `Usage: npm run load -- [options]
  --url <url>            the server; http://localhost:3000
  --mode <mode>          ${MODES.join(', ')}; mixed
  --rate <n>             requests per second, sent when they are due whatever the server does; 100
  --arrivals <kind>      constant or poisson; constant
  --concurrency <n>      most requests under way; 512. Without --rate: so many callers, each of which sends its next
                         request when the last one is answered
  --duration <time>      such as 30s or 10m; 30s
  --conversations <n>    100; with --mode hot always 1
  --members <n>          of each conversation; 4
  --retry-for <time>     requests without a final answer are made again, under the same key; never
  --tokens <file>        bearer tokens, one a line, as "npm run -s token -- <did> --many n" prints them; otherwise the
                         secret of a server on this machine is used
  --json                 prints the report as JSON
  --svg <file>           writes the latencies as a picture

Modes: send (messages), commit, mixed (70 % send, 15 % getMessages, 5 % commit, 10 % getEpoch and getConvos), hot (messages
to one conversation), churn (20 % new conversations, messages to all of them in turn), streams (messages; every member
reads a stream).`

export type LoadOptions = LoadPlan & {
  url: string
  conversations: number
  members: number
  tokens: string | undefined
  json: boolean
  svg: string | undefined
}

/** Wrong arguments, each problem beginning with its option. */
export class UsageError extends Error {
  constructor(problems: readonly string[]) {
    super(`${problems.join('\n')}\n\n${USAGE}`)
  }
}

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000 } as const
/** Tokens live for a day. */
const MAX_HOURS = 12
const MAX_RATE = 100_000

/** Reads the command line. Throws a `UsageError` that lists every problem. */
export function readOptions(args: readonly string[]): LoadOptions {
  const values = parse(args)
  const problems: string[] = []
  const read = <T>(option: string, read: (text: string) => T | undefined, fallback: T, must: string): T => {
    const text = values[option]
    if (typeof text !== 'string') return fallback
    const value = read(text)
    if (value === undefined) problems.push(`--${option} ${must}`)
    return value ?? fallback
  }
  const integer = (option: string, fallback: number, max: number) =>
    read(option, wholeNumber(max), fallback, `must be a whole number from 1 to ${max}`)
  const time = (option: string, fallback: number) =>
    read(option, durationMs, fallback, `must be a time such as 90s or 10m, at most ${MAX_HOURS}h`)
  const oneOf = <T extends string>(option: string, choices: readonly T[], fallback: T) =>
    read(option, (text) => choices.find((c) => c === text), fallback, `must be one of ${choices.join(', ')}`)
  const mode = oneOf<Mode>('mode', MODES, 'mixed')
  const isClosed = values.concurrency !== undefined && values.rate === undefined
  const rate = integer('rate', 100, MAX_RATE)
  const options = {
    url: read('url', origin, 'http://localhost:3000', 'must be an http or https URL without a path'),
    mode,
    pace: {
      rate: isClosed ? undefined : rate,
      arrivals: oneOf<Arrivals>('arrivals', ARRIVALS, 'constant'),
      concurrency: integer('concurrency', 512, 10_000),
    },
    durationMs: time('duration', 30_000),
    retryForMs: time('retry-for', 0),
    conversations: mode === 'hot' ? 1 : integer('conversations', 100, 100_000),
    members: integer('members', 4, 1000),
    tokens: values.tokens as string | undefined,
    json: values.json === true,
    svg: values.svg as string | undefined,
  }
  if (isClosed && values.arrivals !== undefined) problems.push('--arrivals needs --rate')
  if (problems.length > 0) throw new UsageError(problems)
  return options
}

function parse(args: readonly string[]): Record<string, string | boolean | undefined> {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        url: text,
        mode: text,
        rate: text,
        arrivals: text,
        concurrency: text,
        duration: text,
        conversations: text,
        members: text,
        'retry-for': text,
        tokens: text,
        json: flag,
        svg: text,
      },
    }).values
  } catch (error) {
    throw new UsageError([(error as Error).message])
  }
}

function wholeNumber(max: number): (text: string) => number | undefined {
  return (text) => {
    const value = Number(text)
    return /^\d+$/.test(text) && value >= 1 && value <= max ? value : undefined
  }
}

function durationMs(text: string): number | undefined {
  const [, amount, unit] = /^(\d{1,6})([smh])$/.exec(text) ?? []
  const ms = Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS]
  return ms > 0 && ms <= MAX_HOURS * UNIT_MS.h ? ms : undefined
}

function origin(text: string): string | undefined {
  const url = URL.parse(text)
  const isBare = url !== null && /^https?:$/.test(url.protocol) && url.pathname === '/' && url.search === ''
  return isBare ? url.origin : undefined
}
