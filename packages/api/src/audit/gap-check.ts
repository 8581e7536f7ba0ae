import type { LogPageRow } from './read-log-page.ts'
import type { Report } from './report.ts'

/** Rows missing after log row `n`; the first of them is not older than `sinceMs`. */
type Hole = { n: number; sinceMs: number }

/** The shortest time that a server can be told to keep messages: a row younger than this never expired. */
const MIN_TTL_MS = 24 * 60 * 60 * 1000

/**
 * Holds a log to its numbers: n counts 1, 2, 3 … over all rows, seq over the entries.
 *
 * Only application messages are ever deleted, once expired, and in no order. So a hole is sound if all of its rows
 * can have been expired messages, which two things must show:
 *
 * - Its rows had a seq each. A message has one, other kinds but commits have none: between the entries around the
 *   hole as many seqs must be missing as rows. (A commit in the hole leaves its epoch missing, or the head's last
 *   commit: `epoch_gap` and `head_mismatch` find it.)
 * - Its rows had the time to expire. The missing message says no more when that was, but none of them is older than
 *   the row before the hole, and messages around the same time were given the same time to live: that of the
 *   nearest kept message on either side, or, for one that may have been sent since, the one that is configured now;
 *   the shortest of these counts, since the setting may have changed in between. Where nothing tells, the least that
 *   can be configured. (A setting that was lowered and raised again, with no message of that time left, is the one
 *   case that this takes for a loss: audit with MESSAGE_TTL_DAYS as it was.)
 */
export class GapCheck {
  readonly #report: Report
  readonly #configuredTtlMs: number | undefined
  /** Of the last kept row. */
  #n = 0
  /** Of the last kept entry. */
  #entrySeq = 0
  /** Rows missing since that entry. */
  #missing = 0
  /** The last hole since that entry: the last one has had the least time. */
  #hole: Hole | undefined
  /** The last hole before that entry that was of messages, until the next kept message shows its time to live. */
  #unjudged: Hole | undefined
  #ttlMs: number | undefined

  constructor(report: Report, configuredTtlMs: number | undefined) {
    this.#report = report
    this.#configuredTtlMs = configuredTtlMs
  }

  get n(): number {
    return this.#n
  }

  /** The conversation's seq after the last row, with what is missing taken for messages. */
  get seq(): number {
    return this.#entrySeq + this.#missing
  }

  /** Whether rows are missing before `n`, which would be the next. */
  hasHoleBefore(n: number): boolean {
    return n > this.#n + 1
  }

  /** @param previousMs time of the row before, Unix ms */
  add(row: LogPageRow, previousMs: number, nowMs: number): void {
    this.#count(row.n, previousMs, row.kind)
    if (row.seq === null) return
    this.#countEntry(row.seq, row.n)
    if (row.kind !== 'app' || row.expiresAt === null) return
    const ttlMs = row.expiresAt.getTime() - row.createdAt.getTime()
    this.#judge(nowMs, [this.#ttlMs, ttlMs])
    this.#ttlMs = ttlMs
  }

  /** @param head with the time of the newest row, Unix ms: a missing last message was sent just then */
  finish(head: { version: number; seq: number; lastAtMs: number }, nowMs: number): void {
    if (head.version < this.#n) this.#report('head_mismatch', `version ${head.version}, last row ${this.#n}`)
    this.#count(head.version + 1, head.lastAtMs, undefined)
    const missingSeqs = head.seq - this.#entrySeq
    if (missingSeqs < 0 || missingSeqs > this.#missing) {
      this.#report('head_mismatch', `seq ${head.seq}, last entry ${this.#entrySeq}`)
    } else if (missingSeqs < this.#missing) {
      this.#report('n_gap', `rows up to ${head.version} are missing and had no seq`)
    }
    if (missingSeqs > 0 && this.#hole) this.#unjudged = this.#hole
    this.#judge(nowMs, [this.#ttlMs])
  }

  #count(n: number, previousMs: number, kind: LogPageRow['kind'] | undefined): void {
    let missing = n - this.#n - 1
    if (this.#n === 0 && kind !== 'created') {
      this.#report('n_gap', 'row 1, the creation, is missing')
      missing = Math.max(0, missing - 1)
    } else if (this.#n > 0 && kind === 'created') {
      this.#report('n_gap', `row ${n} is a second creation`)
    }
    if (missing < 0 && kind !== undefined) this.#report('n_gap', `row ${n} comes twice`)
    if (missing > 0) {
      this.#hole = { n: this.#n, sinceMs: previousMs }
      this.#missing += missing
    }
    this.#n = n
  }

  #countEntry(seq: number, n: number): void {
    const missingSeqs = seq - this.#entrySeq - 1
    const missingRows = this.#missing
    if (missingSeqs < 0) {
      this.#report('seq_gap', `row ${n} has seq ${seq} after seq ${this.#entrySeq}`)
    } else if (missingSeqs > missingRows) {
      this.#report(
        'seq_gap',
        `row ${n} has seq ${seq}, ${missingSeqs - missingRows} more than rows before it`,
      )
    } else if (missingSeqs < missingRows) {
      this.#report('n_gap', `${missingRows - missingSeqs} rows before ${n} are missing and had no seq`)
    }
    if (missingSeqs > 0 && this.#hole) this.#unjudged = this.#hole
    this.#hole = undefined
    this.#missing = 0
    this.#entrySeq = seq
  }

  #judge(nowMs: number, neighboursMs: (number | undefined)[]): void {
    if (!this.#unjudged) return
    const known = [...neighboursMs, this.#configuredTtlMs].filter((ms) => ms !== undefined)
    const ttlMs = known.length > 0 ? Math.min(...known) : MIN_TTL_MS
    const { n, sinceMs } = this.#unjudged
    if (sinceMs + ttlMs > nowMs) {
      this.#report('seq_gap', `rows after ${n} are missing and cannot have expired yet`)
    }
    this.#unjudged = undefined
  }
}
