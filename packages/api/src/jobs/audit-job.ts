import type { Clock } from '@catbird/shared/clock'
import type { Pool } from '@catbird/shared/sql'
import type { Logger } from 'pino'
import type { Counter } from 'prom-client'
import { audit } from '../audit/audit.ts'
import { Findings } from '../audit/report.ts'

export type AuditJobOptions = {
  /** Opens a connection of its own: nobody who is served waits for the audit. */
  open: () => Pool
  violations: Pick<Counter<'rule'>, 'inc'>
  /** Told the time, Unix ms, at which a run has looked at everything that it should. */
  onCompleted: (atMs: number) => void
  messageTtlMs: number
  clock: Clock
  log: Pick<Logger, 'error'>
}

/** How far back the first run looks: what was written before the last stop, or by a server that crashed. */
const FIRST_MS = 60 * 60_000
/** Rows that were being written when the run before this one read, and clocks that differ. */
const OVERLAP_MS = 60_000

/** Audits the conversations that have changed since its last run, and counts what is wrong with them. */
export class AuditJob {
  readonly #options: AuditJobOptions
  readonly #stopping = new AbortController()
  /** Unix ms: all that changed before has been audited. */
  #auditedUntilMs: number

  constructor(options: AuditJobOptions) {
    this.#options = options
    this.#auditedUntilMs = options.clock.now() - FIRST_MS
  }

  /** @param limitMs when it takes longer it is given up, and the next run begins where this one did */
  async run(limitMs: number): Promise<void> {
    const { open, violations, onCompleted, messageTtlMs, clock, log } = this.#options
    const startedMs = clock.now()
    const sql = open()
    const findings = new Findings()
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(limitMs)])
    // Between its steps the audit sees the signal itself; one that hangs is left behind with its connection.
    const { promise: givenUp, reject } = Promise.withResolvers<never>()
    const giveUp = () => {
      void sql.end({ timeout: 0 })
      reject(signal.reason)
    }
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      const sinceMs = this.#auditedUntilMs - OVERLAP_MS
      const audited = audit(sql, { sinceMs, changedOnly: true, messageTtlMs, findings, signal })
      await Promise.race([audited, givenUp])
      this.#auditedUntilMs = startedMs
      onCompleted(clock.now())
    } finally {
      signal.removeEventListener('abort', giveUp)
      // Also of a run that did not get to its end: what it found is so.
      const { byRule, first } = findings.report(clock.now() - startedMs)
      for (const [rule, count] of Object.entries(byRule)) violations.inc({ rule }, count)
      if (first.length > 0) log.error({ violations: byRule, first }, 'The audit found broken promises')
      await sql.end({ timeout: 1 })
    }
  }

  /** Ends a run that is on its way with its next step. */
  stop(): void {
    this.#stopping.abort(new Error('the server is stopping'))
  }
}
