import type { IncomingMessage } from 'node:http'
import type { Clock } from '@catbird/shared/clock'
import type { Logger } from 'pino'
import type { Authenticator } from './auth/authenticator.ts'
import type { BlockedDids } from './auth/blocked-dids.ts'
import type { Config } from './config.ts'
import type { FrontDatabase } from './database/front-database.ts'
import type { Ephemerals } from './events/ephemerals.ts'
import type { Streams } from './events/streams.ts'
import type { Executor } from './executors/executor.ts'
import type { RateLimits } from './limits/rate-limits.ts'
import type { FrontMetrics } from './metrics.ts'
import type { ReadPositions } from './queries/read-positions.ts'
import type { InflightBudget } from './xrpc/inflight-budget.ts'

/** What methods work with; made once by the service. */
export type AppContext = {
  readonly config: Config
  readonly database: FrontDatabase
  readonly executor: Executor
  readonly authenticator: Authenticator
  readonly blockedDids: BlockedDids
  readonly rateLimits: RateLimits
  /** The address that a request is counted by. */
  clientAddress(incoming: IncomingMessage): string
  readonly readPositions: ReadPositions
  readonly streams: Streams
  readonly ephemerals: Pick<Ephemerals, 'publish'>
  readonly budget: InflightBudget
  readonly metrics: FrontMetrics
  readonly clock: Clock
  readonly log: Logger
  /** Holds every output against its lexicon: tests do. */
  readonly checkOutputs: boolean
  isDraining(): boolean
}
