import { compareHead } from './compare-head.ts'
import { EpochCheck } from './epoch-check.ts'
import { GapCheck } from './gap-check.ts'
import { firstLogHash, nextLogHash } from './log-hash.ts'
import type { Head } from './read-head.ts'
import type { LogPageRow } from './read-log-page.ts'
import type { Report } from './report.ts'

/** All that an audit remembers of a log while it walks along it. */
export class LogWalk {
  readonly #report: Report
  readonly #gaps: GapCheck
  readonly #epochs: EpochCheck
  #first: LogPageRow | undefined
  #last: LogPageRow | undefined
  #lastCommit: LogPageRow | undefined
  /** The last kept entry, by its place in the chain. */
  #link: { seq: number; logHash: string }
  /** Between which times the last message came: one time when it is kept. */
  #messageMs: { min: number; max: number } | undefined
  /** Present holder of the role. */
  creator: string | undefined

  constructor(convoId: string, report: Report, configuredTtlMs: number | undefined) {
    this.#report = report
    this.#gaps = new GapCheck(report, configuredTtlMs)
    this.#epochs = new EpochCheck(report)
    this.#link = { seq: 0, logHash: firstLogHash(convoId) }
  }

  /** Number of the last row. */
  get n(): number {
    return this.#gaps.n
  }

  /** The conversation's seq after that row. */
  get seq(): number {
    return this.#gaps.seq
  }

  add(row: LogPageRow, nowMs: number): void {
    const atMs = row.createdAt.getTime()
    const previousMs = this.#last?.createdAt.getTime() ?? atMs
    if (atMs < previousMs) this.#report('time_backwards', `row ${row.n} is older than row ${this.#last?.n}`)
    if (this.#last?.incarnation === row.incarnation && row.pos < this.#last.pos) {
      this.#report('position_backwards', `row ${row.n} has a position below that of row ${this.#last.n}`)
    }
    if (this.#gaps.hasHoleBefore(row.n)) this.#messageMs = { min: previousMs, max: atMs }
    if (row.kind === 'app') this.#messageMs = { min: atMs, max: atMs }
    this.#gaps.add(row, previousMs, nowMs)
    this.#epochs.add(row)
    this.#addLink(row)
    if (row.kind === 'commit') this.#lastCommit = row
    if (!this.#first) this.creator = row.sender
    this.#first ??= row
    this.#last = row
  }

  /** @param head from the snapshot in which no further row was found */
  finish(head: Head): void {
    const isTailKept = !this.#gaps.hasHoleBefore(head.version + 1)
    this.#gaps.finish({ ...head, lastAtMs: head.lastAt.getTime() }, head.now.getTime())
    if (head.seq === this.#link.seq && head.logHash !== this.#link.logHash) {
      this.#report('chain_broken', `the head's logHash is not that of seq ${head.seq}`)
    }
    if (!this.#first || !this.#last) return
    const differences = compareHead(head, {
      first: this.#first,
      last: this.#last,
      lastCommit: this.#lastCommit,
      isTailKept,
      isTracked: this.#epochs.isTracked,
      messageMs: this.#messageMs,
    })
    if (differences.length > 0) this.#report('head_mismatch', `the log has another ${differences.join(', ')}`)
    if (head.creator !== this.creator) {
      this.#report('interval_unsound', 'the creator is not who holds the role by the log')
    }
  }

  /** Over kept neighbours: where the entry before expired, its hash is gone and this one's is taken as it is. */
  #addLink({ n, seq, kind, epoch, sender, sha256, logHash }: LogPageRow): void {
    if (seq === null || logHash === null || (kind !== 'app' && kind !== 'commit')) return
    const isNext = seq === this.#link.seq + 1
    if (isNext && logHash !== nextLogHash(this.#link.logHash, { seq, epoch, kind, sender, sha256 })) {
      this.#report(
        'chain_broken',
        `the logHash of row ${n} does not follow from the entry and the one before`,
      )
    }
    this.#link = { seq, logHash }
  }
}
