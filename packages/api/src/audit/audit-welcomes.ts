import { readWelcomes, type WelcomeRow } from './read-welcomes.ts'
import type { Findings, Rule } from './report.ts'
import type { Snapshot } from './snapshot.ts'
import type { Steps } from './steps.ts'

type Flag = Extract<keyof WelcomeRow, `is${string}` | `lacks${string}`>

const PROBLEMS: Record<Flag, [Rule, string]> = {
  isUnfounded: ['welcome_without_commit', 'no commit or creation stands before its row with its entry id'],
  lacksBytes: ['welcome_incomplete', 'its bytes are missing'],
  isWithdrawnByNothing: ['welcome_incomplete', 'it was withdrawn by a row that is not in the log'],
  isPackageElsewhere: ['key_package_unsound', 'its key package is not used up by this conversation'],
}

const PAGE = 500

/** Audits the Welcomes of one conversation. */
export async function* auditWelcomes(snapshot: Snapshot, findings: Findings, convoId: string): Steps {
  let after = { did: '', n: 0, keyPackageHash: '' }
  for (;;) {
    const welcomes = await readWelcomes(snapshot.sql, convoId, after, PAGE)
    for (const welcome of welcomes) {
      for (const [flag, [rule, problem]] of Object.entries(PROBLEMS)) {
        if (welcome[flag as Flag]) findings.add(rule, convoId, `Welcome of row ${welcome.n}: ${problem}`)
      }
    }
    const last = welcomes.at(-1)
    if (!last || welcomes.length < PAGE) return
    after = last
    yield
  }
}
