import type { Clock } from '@catbird/shared/clock'
import type { NewId } from '@catbird/shared/ids'
import type { Policy } from '../conversation/decision.ts'
import type { Store } from '../store/store.ts'
import type { Telemetry } from './telemetry.ts'

/** What bounds a shard. */
export type ShardLimits = {
  mailboxCommands: number
  mailboxBytes: number
  maxResident: number
  idleMs: number
  batchRows: number
  batchBytes: number
}

/** All that a shard is given: nothing in it reads a clock, a configuration or a database of its own. */
export type ShardOptions = {
  store: Store
  clock: Clock
  newId: NewId
  random: () => number
  policy: Policy
  limits: ShardLimits
  telemetry: Telemetry
}
