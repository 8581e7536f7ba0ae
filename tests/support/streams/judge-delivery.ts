import { ConvoDelivery, type Survived } from './convo-delivery.ts'
import { ConvoTruth, changeKey, type TruthChange, type TruthConvo, type TruthEntry } from './convo-truth.ts'
import { ACTIONS, digest, type LedgerRow, type LedgerRows, ROW } from './ledger-rows.ts'
import { emptyVerdict, type Faults, type Verdict } from './verdict.ts'

/** What one reader should have got. */
export type ReaderTruth = {
  did: string
  /** Of the one conversation that the stream was asked for. */
  convoId?: string
  /** All conversations that the reader is or was a member of. */
  convos: readonly TruthConvo[]
  /**
   * After a restore from a backup: what the backup had of each conversation. Later rows that the reader got before its
   * last OutdatedCursor are forgotten, those of the restored database have to come.
   */
  survived?: ReadonlyMap<string, Survived>
  /** How many entries that a cursor says were had may come again on the connection that goes on from it. */
  maxAgain?: number
}

export type Delivery = {
  rows: LedgerRows
  convoIds: readonly string[]
  /** By conversation, the log row up to which nothing is owed. */
  since: ReadonlyMap<string, number>
}

/** The place in the rows where a cursor was first seen on the connection that had it last. */
type CursorPlace = { row: number; connection: number }
/** `again`: how many entries came that its cursor says the reader has had. */
type Connection = { row: number; covered: readonly number[]; again: number }

const FROM_THE_OLDEST = digest('0')
/** What was committed at about the same time as the event whose cursor a connection goes on from may come again. */
const MAX_AGAIN = 100

/** Walks through a delivery from its beginning and compares it with the truth. */
export class DeliveryJudge {
  readonly #rows: LedgerRows
  readonly #truth: ReaderTruth
  readonly #convos: ConvoDelivery[]
  readonly #verdict = emptyVerdict()
  readonly #connections: Connection[] = []
  readonly #cursors = new Map<number, CursorPlace>()
  /** By conversation, where the reader began: log row, and newest entry up to it. */
  readonly #begin: Survived[]
  /** Index of the last OutdatedCursor, before which rows may be of a history that is gone. */
  readonly #lastOutdated: number

  constructor({ rows, convoIds, since }: Delivery, truth: ReaderTruth) {
    this.#rows = rows
    this.#truth = truth
    const truths = truth.convos
      .filter(({ convoId }) => convoId === (truth.convoId ?? convoId))
      .map((convo) => new ConvoTruth(convo, truth.did))
    const known = new Map(truths.map((one) => [one.convoId, one]))
    // In the order of the rows' numbers, then those of which nothing came.
    const names = new Set([...convoIds, ...known.keys()])
    this.#convos = [...names].map((convoId) => new ConvoDelivery(convoId, known.get(convoId)))
    const isWhole = rows.length > 0 && rows.at(0).cursor === FROM_THE_OLDEST
    this.#begin = this.#convos.map(({ convoId, truth: one }) => {
      const n = isWhole ? 0 : (since.get(convoId) ?? 0)
      return { n, seq: one?.seqAt(n) ?? 0 }
    })
    this.#lastOutdated = truth.survived === undefined ? -1 : lastOf(rows, ROW.outdatedCursor)
  }

  judge(): Verdict {
    for (let index = 0; index < this.#rows.length; index++) {
      const row = this.#rows.at(index)
      this.#walk(row, index)
      this.#noteCursor(row.cursor, index)
    }
    for (const [index, convo] of this.#convos.entries()) this.#findMissed(convo, this.#begin[index]!.n)
    return this.#verdict
  }

  #walk(row: LedgerRow, index: number): void {
    const convo = this.#convos[row.convo]!
    if (row.kind === ROW.connected) this.#connect(row, index)
    else if (row.kind === ROW.app || row.kind === ROW.commit) this.#takeEntry(convo, row, index)
    else if (row.kind === ROW.membership) this.#takeChange(convo, row, index)
    else if (row.kind === ROW.ephemeral) this.#takeEphemeral(convo)
    else if (row.kind === ROW.membershipEnded) this.#takeEnd(convo, index)
    else if (row.kind === ROW.outdatedCursor) this.#forget()
    else if (row.kind === ROW.caughtUp) this.#checkCaughtUp()
  }

  #noteCursor(cursor: number, row: number): void {
    const connection = this.#connections.length - 1
    if (cursor === 0 || this.#cursors.get(cursor)?.connection === connection) return
    this.#cursors.set(cursor, { row, connection })
  }

  #connect(row: LedgerRow, index: number): void {
    const covered = this.#coveredAt(row.cursor)
    this.#connections.push({ row: index, covered, again: 0 })
    for (const [at, convo] of this.#convos.entries()) convo.connect(covered[at]!)
  }

  /** Of each conversation the entry up to which the reader has had everything, by what a cursor says. */
  #coveredAt(cursor: number): number[] {
    if (cursor === FROM_THE_OLDEST) return this.#convos.map(() => 0)
    if (this.#connections.length === 0) return this.#begin.map(({ seq }) => seq)
    const place = this.#cursors.get(cursor)
    if (place === undefined) throw new Error('connected with a cursor that this reader never got')
    const connection = this.#connections[place.connection]!
    const covered = [...connection.covered]
    for (let index = connection.row + 1; index <= place.row; index++) {
      const { kind, convo, seq } = this.#rows.at(index)
      if (kind === ROW.app || kind === ROW.commit) covered[convo] = Math.max(covered[convo]!, seq)
      if (kind !== ROW.outdatedCursor) continue
      for (const [at, one] of this.#convos.entries()) {
        covered[at] = Math.min(covered[at]!, this.#survivedOf(one).seq)
      }
    }
    return covered
  }

  #takeEntry(convo: ConvoDelivery, row: LedgerRow, index: number): void {
    const { seq } = row
    const entry = convo.truth?.entries.get(seq)
    const isGone = index < this.#lastOutdated && seq > this.#survivedOf(convo).seq
    const n = isGone ? convo.lastN : (entry?.n ?? convo.lastN)
    const isRepeat = convo.received.has(seq)
    this.#verdict.entries++
    if (isRepeat) this.#takeRepeat(convo, row)
    const isLate = !isRepeat && seq < convo.highest
    if (seq <= convo.lastSeq || isLate || n < convo.lastN) this.#report('outOfOrder', convo, seq)
    if (isRepeat && convo.hasNew) this.#report('repeats', convo, seq)
    const until = isGone ? Math.min(seq, this.#survivedOf(convo).seq + 1) : seq
    this.#checkGap(convo, until, `before ${seq}`)
    if (!isGone) this.#compareEntry(convo, row, entry)
    convo.takeEntry(seq, n)
  }

  #takeRepeat(convo: ConvoDelivery, { convo: index, seq }: LedgerRow): void {
    this.#verdict.repeated++
    const connection = this.#connections.at(-1)!
    // After a restore streams begin farther back.
    if (this.#truth.survived !== undefined || seq > (connection.covered[index] ?? 0)) return
    connection.again++
    const { maxAgain = MAX_AGAIN } = this.#truth
    if (connection.again === maxAgain + 1) this.#report('repeats', convo, seq, `more than ${maxAgain} again`)
  }

  #compareEntry(convo: ConvoDelivery, row: LedgerRow, entry: TruthEntry | undefined): void {
    if (!convo.truth?.isReadable(row.seq)) this.#report('unreadable', convo, row.seq)
    if (convo.truth === undefined) return
    const detail = entry === undefined ? 'not in the log' : differences(row, entry).join(' ')
    if (detail !== '') this.#report('altered', convo, row.seq, detail)
  }

  #takeChange(convo: ConvoDelivery, row: LedgerRow, index: number): void {
    const key = changeKey(row.sender, row.epoch, row.seq)
    const change = convo.truth?.changes.get(key)
    const survived = this.#survivedOf(convo)
    const isLost = change === undefined ? row.seq >= survived.seq : change.n > survived.n
    const isGone = index < this.#lastOutdated && isLost
    const n = isGone ? convo.lastN : (change?.n ?? convo.lastN)
    const action = ACTIONS[row.epoch]!
    const isAgain = convo.changesHere.has(key) || (convo.changes.has(key) && convo.hasNew)
    if (isAgain) this.#report('repeats', convo, row.seq, action)
    if (n < convo.lastN) this.#report('outOfOrder', convo, row.seq, action)
    if (!isGone) this.#compareChange(convo, row.seq, action, change)
    convo.takeChange(key, n)
  }

  #compareChange(convo: ConvoDelivery, seq: number, action: string, change: TruthChange | undefined): void {
    if (convo.truth === undefined || change?.isReadable === false) {
      this.#report('unreadable', convo, seq, action)
    } else if (change === undefined) this.#report('altered', convo, seq, `${action}: not in the log`)
  }

  #takeEphemeral(convo: ConvoDelivery): void {
    if (convo.truth && !convo.isEnded) return
    this.#report('unreadable', convo, convo.position, 'ephemeral')
  }

  #takeEnd(convo: ConvoDelivery, index: number): void {
    const interval = convo.endNow()
    if (interval !== undefined) convo.ended.add(interval)
    else if (index > this.#lastOutdated) {
      this.#report('unreadable', convo, convo.position, 'membershipEnded of a member')
    }
  }

  #forget(): void {
    if (this.#truth.survived === undefined) return
    for (const convo of this.#convos) convo.forget(this.#survivedOf(convo))
  }

  /** What the reader had before, after this connection's cursor, has come again by now. */
  #checkCaughtUp(): void {
    for (const convo of this.#convos) this.#checkGap(convo, convo.highest + 1, 'caught up')
  }

  #checkGap(convo: ConvoDelivery, before: number, detail: string): void {
    for (const seq of convo.truth?.owedBetween(convo.position, before) ?? []) {
      this.#report('gaps', convo, seq, detail)
    }
  }

  #findMissed(convo: ConvoDelivery, since: number): void {
    const { truth, received, changes, ended } = convo
    if (truth === undefined) return
    for (const seq of truth.owed) {
      if (truth.entries.get(seq)!.n > since && !received.has(seq)) this.#report('missed', convo, seq)
    }
    for (const [key, { n, seq, isOwed, name }] of truth.changes) {
      if (isOwed && n > since && !changes.has(key)) this.#report('missedChanges', convo, seq, name)
    }
    for (const interval of truth.intervals) {
      const hasEnded = interval.leftN !== null && interval.leftN > since
      if (hasEnded && !ended.has(interval)) this.#report('missedEnds', convo, interval.toSeq!)
    }
  }

  /** All of it, where nothing was restored. */
  #survivedOf({ convoId }: ConvoDelivery): Survived {
    const { survived } = this.#truth
    if (survived === undefined) return { n: Number.POSITIVE_INFINITY, seq: Number.POSITIVE_INFINITY }
    return survived.get(convoId) ?? { n: 0, seq: 0 }
  }

  #report(kind: keyof Faults, { convoId }: ConvoDelivery, seq: number, detail?: string): void {
    this.#verdict[kind].push({ convoId, seq, ...(detail !== undefined && { detail }) })
  }
}

/** Names of the fields that are not as in the log. */
function differences(row: LedgerRow, entry: TruthEntry): string[] {
  const fields = (['bytes', 'sender', 'epoch', 'logHash'] as const).filter(
    (name) => row[name] !== entry[name],
  )
  return entry.isCommit === (row.kind === ROW.commit) ? fields : ['messageType', ...fields]
}

function lastOf(rows: LedgerRows, kind: number): number {
  let index = rows.length - 1
  while (index >= 0 && rows.at(index).kind !== kind) index--
  return index
}
