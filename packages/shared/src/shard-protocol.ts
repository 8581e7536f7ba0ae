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
}

export type ShardTask =
  | { type: 'start'; settings: ShardSettings; port: MessagePort }
  | { type: 'ping' }
  | { type: 'status' }
  | { type: 'stop'; deadlineMs: number }

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
