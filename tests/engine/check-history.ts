import { checkLog } from './check-log.ts'
import { checkRefusals } from './check-refusals.ts'
import { checkReplies } from './check-replies.ts'
import { checkTables } from './check-tables.ts'
import { checkTokens } from './check-tokens.ts'
import { type ConvoLog, convoLogs } from './convo-log.ts'
import type { Exchange, StoredDatabase } from './history.ts'
import { matchRows } from './match-rows.ts'
import type { ModelOptions } from './reference-model.ts'
import { replayLogs } from './replay-logs.ts'

export type CheckOptions = ModelOptions & {
  /** No inspection can have failed: refusals of commits must name the commit that won. */
  mustNameWinners?: boolean
}

/**
 * Holds what clients were told against what the database says in the end. Returns what is wrong, one line each:
 * gaps, doubles and broken chains; accepted commands that are missing, changed, doubled or not as the reply said;
 * tokens used twice; refused ones that are there or were refused without a reason at any time between request and reply; replies
 * before COMMIT; rows that nobody asked for. `OutcomeUnknown` and a missing reply allow either.
 *
 * Requests must differ in content unless they share an idempotency key or message id: a command without either is
 * told from another by its bytes.
 */
export function checkHistory(history: Exchange[], database: StoredDatabase, options: CheckOptions): string[] {
  const problems: string[] = []
  const report = (problem: string) => problems.push(problem)
  const logs = convoLogs(database.rows)
  for (const log of logs.values()) checkLog(log, report)
  matchRows(history, logs, database.records, report)
  for (const log of logs.values()) setTimes(log)
  const world = replayLogs(logs, database, options, report)
  checkReplies(logs, report)
  checkRefusals(history, world, options, report)
  checkTables(world, database, report)
  checkTokens(history, logs, database, report)
  return problems
}

/** Without commit times: a row is no older than the requests up to it, no newer than the replies from it on. */
function setTimes({ groups }: ConvoLog): void {
  let earliest = Number.NEGATIVE_INFINITY
  for (const group of groups) {
    earliest = Math.max(earliest, group.owner?.invokedAt ?? earliest)
    group.earliest = group.rows[0]!.committedAt ?? earliest
  }
  let latest = Number.POSITIVE_INFINITY
  for (const group of groups.toReversed()) {
    for (const { repliedAt = latest } of group.answered) latest = Math.min(latest, repliedAt)
    group.latest = group.rows[0]!.committedAt ?? latest
  }
}
