import { readRecords } from './read-records.ts'
import type { Findings } from './report.ts'
import type { Snapshot } from './snapshot.ts'
import type { Steps } from './steps.ts'

/** A record is looked up in all conversations of its caller, who may be in very many: pages follow the time taken. */
const MIN_PAGE = 10
const MAX_PAGE = 1000
const QUICK_MS = 50
const SLOW_MS = 200

/** Audits what is kept for repeats: an answer must be one that the log bears out. */
export async function* auditRecords(snapshot: Snapshot, findings: Findings): Steps {
  let after = { caller: '', method: '', key: '' }
  let page = MIN_PAGE
  for (;;) {
    const startedMs = performance.now()
    const records = await readRecords(snapshot.sql, after, page)
    for (const { method, seq, isSound } of records) {
      if (!isSound) findings.add('record_unsound', undefined, `record of ${method}, seq ${seq ?? 'none'}`)
    }
    const last = records.at(-1)
    if (!last) return
    after = last
    const tookMs = performance.now() - startedMs
    if (tookMs < QUICK_MS) page = Math.min(MAX_PAGE, page * 2)
    if (tookMs > SLOW_MS) page = Math.max(MIN_PAGE, Math.floor(page / 4))
    yield
  }
}
