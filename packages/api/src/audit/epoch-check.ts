import type { LogPageRow } from './read-log-page.ts'
import type { Report } from './report.ts'

/**
 * Holds a log to its epochs. The first commit with bytes may set any base, since nothing tells whether the
 * conversation was created without an epoch; from then on each commit's epoch is one more than the last. A change
 * without bytes is of an untracked conversation, so it comes before that, and also advances the epoch by one.
 */
export class EpochCheck {
  readonly #report: Report
  #epoch: number | undefined
  /** Epoch of the first commit with bytes. */
  #base: number | undefined

  constructor(report: Report) {
    this.#report = report
  }

  /** The conversation's epoch; undefined before the first row. */
  get epoch(): number | undefined {
    return this.#epoch
  }

  /** Whether a commit with bytes has been: from then on the conversation is tracked. */
  get isTracked(): boolean {
    return this.#base !== undefined
  }

  add(row: LogPageRow): void {
    if (row.kind === 'commit') this.#addCommit(row)
    else if (this.#epoch === undefined) this.#epoch = row.epoch
    else if (row.epoch > this.#epoch) {
      this.#report('epoch_ahead', `row ${row.n} bears epoch ${row.epoch} in epoch ${this.#epoch}`)
    }
  }

  #addCommit({ n, epoch, hasBytes }: LogPageRow): void {
    const last = this.#epoch
    this.#epoch = epoch
    if (!hasBytes && this.isTracked) {
      this.#report('epoch_gap', `row ${n} changes a tracked conversation without a commit`)
      return
    }
    if (hasBytes && this.#base === undefined) {
      this.#base = epoch
      return
    }
    if (last === undefined || epoch === last + 1) return
    if (this.#base !== undefined && epoch <= last && epoch >= this.#base) {
      this.#report('epoch_duplicate', `row ${n} is a further commit with epoch ${epoch}`)
      this.#epoch = last
    } else {
      this.#report('epoch_gap', `row ${n} is a commit with epoch ${epoch} after ${last}`)
    }
  }
}
