import type { ConvoTruth, TruthInterval } from './convo-truth.ts'

/** The newest row and entry of a conversation in a backup. */
export type Survived = { n: number; seq: number }

/** How far the delivery of one conversation to one reader has come. */
export class ConvoDelivery {
  readonly convoId: string
  /** Undefined for a conversation of which nothing may come. */
  readonly truth: ConvoTruth | undefined
  readonly received = new Set<number>()
  readonly changes = new Set<string>()
  /** Memberships whose end was told. */
  readonly ended = new Set<TruthInterval>()
  highest = 0
  isEnded = false
  /** Entries up to it were had when this connection began, or by its events since. */
  covered = 0
  /** The entry that came last on this connection; before the first like `covered`. */
  position = 0
  /** On this connection. */
  lastSeq = 0
  lastN = 0
  hasNew = false
  readonly changesHere = new Set<string>()

  constructor(convoId: string, truth: ConvoTruth | undefined) {
    this.convoId = convoId
    this.truth = truth
  }

  connect(covered: number): void {
    this.covered = covered
    this.position = covered
    this.lastSeq = 0
    this.lastN = 0
    this.hasNew = false
    this.changesHere.clear()
  }

  takeEntry(seq: number, n: number): void {
    this.hasNew ||= !this.received.has(seq)
    this.received.add(seq)
    this.highest = Math.max(this.highest, seq)
    this.covered = Math.max(this.covered, seq)
    if (seq > this.lastSeq) this.position = seq
    this.lastSeq = Math.max(this.lastSeq, seq)
    this.lastN = Math.max(this.lastN, n)
    this.isEnded = false
  }

  takeChange(key: string, n: number): void {
    this.changes.add(key)
    this.changesHere.add(key)
    this.lastN = Math.max(this.lastN, n)
    this.isEnded = false
  }

  /** The membership whose end is told now, if one has ended. */
  endNow(): TruthInterval | undefined {
    this.isEnded = true
    return this.truth?.intervals.findLast(({ toSeq }) => toSeq !== null && toSeq <= this.position)
  }

  /** The database was restored: what it forgot has to come again, perhaps with another content. */
  forget(survived: Survived): void {
    for (const seq of this.received) if (seq > survived.seq) this.received.delete(seq)
    for (const key of this.changes) {
      const change = this.truth?.changes.get(key)
      if (change === undefined || change.n > survived.n) this.changes.delete(key)
    }
    for (const interval of this.ended) if (interval.leftN! > survived.n) this.ended.delete(interval)
    this.highest = Math.min(this.highest, survived.seq)
    this.isEnded = false
    this.connect(Math.min(this.covered, survived.seq))
  }
}
