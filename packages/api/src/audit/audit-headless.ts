import { readHeadless } from './read-headless.ts'
import type { Findings } from './report.ts'
import type { Snapshot } from './snapshot.ts'
import type { Steps } from './steps.ts'

/** Looks for logs whose conversation is not there: no foreign key holds the log, for the sake of its writes. */
export async function* auditHeadless(snapshot: Snapshot, findings: Findings): Steps {
  let after = ''
  for (;;) {
    const logs = await readHeadless(snapshot.sql, after)
    for (const { convoId, isHeadless } of logs) {
      if (isHeadless) findings.add('head_missing', convoId, 'log rows without a conversation')
    }
    const last = logs.at(-1)
    if (!last) return
    after = last.convoId
    yield
  }
}
