import type { Pool } from '@catbird/shared/sql'
import { auditConversation } from './audit-conversation.ts'
import { auditHeadless } from './audit-headless.ts'
import { auditKeyPackages } from './audit-key-packages.ts'
import { auditRecords } from './audit-records.ts'
import { readConvoIds } from './read-convo-ids.ts'
import { type AuditReport, Findings } from './report.ts'
import { Snapshot } from './snapshot.ts'
import type { Steps } from './steps.ts'

export type AuditOptions = {
  /** Audits this conversation alone, without what belongs to none: key packages, idempotency records. */
  convoId?: string
  /** Leaves out conversations that did not change since this time, Unix ms. */
  sinceMs?: number
  /** Leaves out too what belongs to no conversation, and would all have to be read. */
  changedOnly?: boolean
  /** How long messages are kept now, for holes whose neighbours do not tell. */
  messageTtlMs?: number
  /** A transaction ends with the step in which it got this old; 400 if not told, so that none lasts a second. */
  transactionMs?: number
  /** Where to put what is found, for whoever wants to know it of an audit that ends early too. */
  findings?: Findings
  /** Ends the audit early: it then rejects with the signal's reason. */
  signal?: AbortSignal
}

const TRANSACTION_MS = 400
const READ_ONLY = 'isolation level repeatable read read only'

/**
 * Holds the database to its promises while it serves: reads all of it in id order and says what is wrong.
 *
 * The audit is a sequence of steps. What one step compares it reads in one snapshot, so concurrent writes raise
 * nothing; a step takes a bounded page, so memory is bounded; a transaction lasts only so long, so it keeps nobody
 * waiting. What a long log's walk carries from one snapshot to the next stays true: rows that
 * were read never change, they can only expire.
 *
 * @param sql a pool with one connection to spare
 */
export async function audit(sql: Pool, options: AuditOptions = {}): Promise<AuditReport> {
  const startedMs = performance.now()
  const { findings = new Findings() } = options
  const snapshot = new Snapshot()
  const steps = auditSteps(snapshot, findings, options)
  let isDone = false
  while (!isDone) {
    options.signal?.throwIfAborted()
    await sql.begin(READ_ONLY, async (transaction) => {
      const untilMs = performance.now() + (options.transactionMs ?? TRANSACTION_MS)
      snapshot.begin(transaction)
      do isDone = (await steps.next()).done === true
      while (!isDone && performance.now() < untilMs)
    })
  }
  return findings.report(Math.round(performance.now() - startedMs))
}

async function* auditSteps(snapshot: Snapshot, findings: Findings, options: AuditOptions): Steps {
  if (options.convoId !== undefined) {
    yield* auditConversation(snapshot, findings, options.convoId, options)
    return
  }
  let after = ''
  for (;;) {
    const page = await readConvoIds(snapshot.sql, after, options.sinceMs ?? 0)
    for (const { convoId, isWanted } of page) {
      if (isWanted) yield* auditConversation(snapshot, findings, convoId, options)
    }
    const last = page.at(-1)?.convoId
    if (last === undefined) break
    after = last
    yield
  }
  if (options.changedOnly) return
  yield* auditHeadless(snapshot, findings)
  yield* auditKeyPackages(snapshot, findings)
  yield* auditRecords(snapshot, findings)
}
