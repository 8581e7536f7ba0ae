import { readIntervals } from './read-intervals.ts'
import type { Findings } from './report.ts'
import type { Snapshot } from './snapshot.ts'
import type { Steps } from './steps.ts'

const PROBLEMS = {
  isJoinUnrecorded: 'the log row that opens it does not',
  isLeaveUnrecorded: 'the log row that closes it does not',
  isFromSeqWrong: 'it begins at another seq than its log row',
  isInverted: 'it ends before it begins',
  isOverlapping: 'it overlaps an earlier one',
} as const

const PAGE = 500

/** Audits the membership intervals of one conversation, and how far their members have read. */
export async function* auditMembers(snapshot: Snapshot, findings: Findings, convoId: string): Steps {
  let after = { did: '', joinedN: 0 }
  for (;;) {
    const intervals = await readIntervals(snapshot.sql, convoId, after, PAGE)
    for (const { place, isCursorAhead, ...interval } of intervals) {
      const name = `interval from row ${interval.joinedN}, number ${place}`
      for (const [flag, problem] of Object.entries(PROBLEMS)) {
        if (interval[flag as keyof typeof PROBLEMS]) {
          findings.add('interval_unsound', convoId, `${name}: ${problem}`)
        }
      }
      if (isCursorAhead) findings.add('cursor_ahead', convoId, `the member of the ${name} has read further`)
    }
    const last = intervals.at(-1)
    if (!last || intervals.length < PAGE) return
    after = last
    yield
  }
}
