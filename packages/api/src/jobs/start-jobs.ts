import { systemClock } from '@catbird/shared/clock'
import { openPool } from '@catbird/shared/sql'
import type { Logger } from 'pino'
import type { BlockedDids } from '../auth/blocked-dids.ts'
import type { FrontDatabase } from '../database/front-database.ts'
import { type Incarnation, isSameLife } from '../database/incarnation.ts'
import type { Health } from '../health.ts'
import type { FrontMetrics } from '../metrics.ts'
import type { Upgrades } from '../upgrades.ts'
import { AuditJob } from './audit-job.ts'
import { cleanUp } from './clean-up.ts'
import { Scheduler } from './scheduler.ts'

const CLEAN_UP_MS = 60_000
const PULSE_MS = 2000
const PING_MS = 1000
const LIFE_MS = 1000
const BLOCKED_DIDS_MS = 1000
/** Reads the heads of all conversations, and those that changed as a whole. */
const AUDIT_EVERY_MS = 5 * 60_000
const AUDIT_FIRST_MS = 60_000
const AUDIT_MS = 4 * 60_000
const STATEMENT_TIMEOUT_MS = 5000

export type JobParts = {
  database: FrontDatabase
  databaseUrl: string
  incarnation: Incarnation
  health: Health
  blockedDids: BlockedDids
  upgrades: Upgrades
  metrics: FrontMetrics
  messageTtlMs: number
  /** Told when the server must not go on. */
  onFatal: () => void
  log: Logger
}

/** Starts what a server does from time to time. */
export function startJobs(parts: JobParts): { stop(deadlineMs: number): Promise<void> } {
  const { database, databaseUrl, incarnation, health, blockedDids, upgrades, metrics, onFatal, log } = parts
  const stopping = new AbortController()
  const auditJob = new AuditJob({
    open: () => openPool(databaseUrl, { max: 1, name: 'audit', statementTimeoutMs: STATEMENT_TIMEOUT_MS }),
    violations: metrics.integrityViolations,
    onCompleted: (atMs) => metrics.auditCompleted(atMs),
    messageTtlMs: parts.messageTtlMs,
    clock: systemClock,
    log,
  })
  const jobs = [
    new Scheduler('clean-up', CLEAN_UP_MS, log, () =>
      database.query('clean_up', (sql) => cleanUp(sql, log, stopping.signal)),
    ),
    new Scheduler('pulse', PULSE_MS, log, () => health.pulse()),
    new Scheduler('blocked DIDs', BLOCKED_DIDS_MS, log, () => blockedDids.refresh()),
    new Scheduler('life of the database', LIFE_MS, log, async () => {
      if (await database.query('life_of_database', (sql) => isSameLife(sql, incarnation))) return
      // What actors remember, and what positions mean, belongs to the one that is over.
      log.error('The database was restored or failed over while this server ran: it has to start again')
      onFatal()
    }),
    new Scheduler('audit', AUDIT_EVERY_MS, log, () => auditJob.run(AUDIT_MS), {
      firstMs: AUDIT_FIRST_MS,
      runMs: AUDIT_EVERY_MS,
    }),
    new Scheduler('WebSocket pings', PING_MS, log, async () => upgrades.pingNext()),
  ]
  return {
    async stop(deadlineMs) {
      stopping.abort()
      auditJob.stop()
      await Promise.all(jobs.map((job) => job.stop(deadlineMs)))
    },
  }
}
