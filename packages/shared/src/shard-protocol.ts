import type { MessagePort } from 'node:worker_threads'
import type { MetricObjectWithValues, MetricValue } from 'prom-client'
import type { Command, Reply } from './commands.ts'

/**
 * What crosses the thread boundary, plain data only: later the same messages may go to another machine.
 *
 * Commands and replies travel over a MessagePort, one message per tick with all that is ready; tasks that control
 * the thread go through its pool.
 */
export type ToShard = { requests: { id: number; command: Command }[] }

export type FromShard = {
  replies: { id: number; reply: Reply }[]
  logs: LogLine[]
}

/** A log line of the shard, written by the front: threads share one output. */
export type LogLine = {
  level: 'debug' | 'info' | 'warn' | 'error'
  message: string
  fields: Record<string, string | number>
}

export type ShardSettings = {
  shard: number
  databaseUrl: string
  incarnation: number
  policy: { maxMembers: number; messageEpochWindow: number; messageTtlMs: number }
  mailboxCommands: number
  maxResident: number
  idleMs: number
  batchRows: number
  metricsConvoLimit: number
  /** Whether each command is to be logged. */
  isDebug: boolean
}

export type ShardTask =
  | { type: 'start'; settings: ShardSettings; port: MessagePort }
  | { type: 'ping' }
  | { type: 'status' }
  | { type: 'sample' }
  | { type: 'actor'; convoId: string }
  | { type: 'passivate'; convoId: string }
  | { type: 'stop'; deadlineMs: number }

/** What each task is answered. */
export type ShardAnswers = {
  start: undefined
  ping: undefined
  status: ShardStatus | undefined
  sample: ShardSample | undefined
  actor: ActorReport | undefined
  passivate: Passivation | undefined
  stop: undefined
}

/** Answer to `status`. */
export type ShardStatus = {
  activeActors: number
  mailboxDepth: number
  /** Time that the event loop has been busy and idle so far. */
  eventLoop: { activeMs: number; idleMs: number }
  heapUsedBytes: number
  heapLimitBytes: number
  metrics: MetricObjectWithValues<MetricValue<string>>[]
}

/** Answer to `sample`: what changes from moment to moment, for less than the whole of the metrics. */
export type ShardSample = Omit<ShardStatus, 'metrics'> & {
  /** Commands in the fullest mailbox. */
  deepestMailbox: number
  /** Commands answered since the thread began. */
  commands: number
  /** Transactions since the thread began. */
  batches: {
    count: number
    rows: number
    seconds: number
    /** How many took at most so many seconds, each including those before it. */
    within: { seconds: number; count: number }[]
  }
}

/** Answer to `actor`. */
export type ActorReport = {
  isResident: boolean
  mailboxDepth: number
  mailboxBytes: number
  /** Batches with its writes whose outcome is not known yet. */
  unsettledUnits: number
  /** Takes no command: the outcome of a write is looked for, or a command runs under the row's lock. */
  isBlocked: boolean
  /** Unix ms of its last command. */
  lastActiveMs?: number
  /** The last transaction that wrote something of it. */
  lastBatch?: BatchReport
}

export type BatchReport = { writtenAtMs: number; rows: number; conversations: number; seconds: number }

/** Answer to `passivate`: `leaving` goes as soon as what it has in hand is done; `absent` was not in memory. */
export type Passivation = 'passivated' | 'leaving' | 'absent'
