import { auditMembers } from './audit-members.ts'
import { auditWelcomes } from './audit-welcomes.ts'
import { LogWalk } from './log-walk.ts'
import { type MembershipChange, readChanges } from './read-changes.ts'
import { readHead } from './read-head.ts'
import { readHeir } from './read-heir.ts'
import { type LogPageRow, readLogPage } from './read-log-page.ts'
import type { Findings, Report } from './report.ts'
import type { Snapshot } from './snapshot.ts'
import type { Steps } from './steps.ts'

/** Audits one conversation: its log from the first row to the last, then what hangs on it. */
export async function* auditConversation(
  snapshot: Snapshot,
  findings: Findings,
  convoId: string,
  options: { messageTtlMs?: number },
): Steps {
  const report: Report = (rule, detail) => findings.add(rule, convoId, detail)
  const walk = new LogWalk(convoId, report, options.messageTtlMs)
  for (let isDone = false; !isDone; ) {
    const { sql } = snapshot
    const [head, rows] = await Promise.all([readHead(sql, convoId), readLogPage(sql, convoId, walk.n)])
    if (!head) return
    const changes = await readChanges(sql, convoId, walk.n, rows.at(-1)?.n ?? walk.n)
    for (const row of rows) {
      walk.add(row, head.now.getTime())
      if (row.seq !== null) findings.entries++
      checkChanges(row, walk.seq, changes.get(row.n) ?? [], report)
      if (walk.creator !== undefined && row.removed?.includes(walk.creator)) {
        walk.creator = await readHeir(sql, convoId, row.n)
      }
    }
    isDone = rows.length === 0 || walk.n >= head.version
    if (isDone) {
      findings.conversations++
      walk.finish(head)
    }
    yield
  }
  yield* auditMembers(snapshot, findings, convoId)
  yield* auditWelcomes(snapshot, findings, convoId)
}

/** Whom a row adds, removes or invites must have the rows that say so. */
function checkChanges(row: LogPageRow, seq: number, changes: MembershipChange[], report: Report): void {
  for (const { change, place, isStored, toSeq } of changes) {
    if (change === 'invited') {
      if (!isStored) report('welcome_incomplete', `row ${row.n} invites number ${place}, who has no Welcome`)
    } else if (!isStored) {
      const what = change === 'added' ? 'opens with it' : 'closes with it'
      report('interval_unsound', `row ${row.n}: of number ${place} ${change} no interval ${what}`)
    } else if (change === 'removed' && toSeq !== seq) {
      report('interval_unsound', `row ${row.n} closes an interval at seq ${seq}, which says ${toSeq}`)
    }
  }
}
