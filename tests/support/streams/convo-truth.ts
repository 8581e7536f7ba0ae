import { ACTIONS, digest, digestOfBytes, digestOfHash } from './ledger-rows.ts'

const NOTHING = new Uint8Array()

/** A row of a conversation's log, as the database has it in the end. */
export type TruthRow = {
  n: number
  /** Of entries alone. */
  seq: number | null
  kind: 'created' | 'joined' | 'app' | 'commit' | 'left' | 'welcome'
  epoch: number
  sender: string
  /** Of the bytes, lower-case hex; null without bytes. */
  sha256: string | null
  /** Lower-case hex; of entries alone. */
  logHash: string | null
  added: readonly string[] | null
  removed: readonly string[] | null
  /** May come, need not. */
  isExpired?: boolean
}

/** A membership of the reader, as the table `members` has it. */
export type TruthInterval = {
  joinedN: number
  leftN: number | null
  fromSeq: number
  toSeq: number | null
}

export type TruthConvo = {
  convoId: string
  /** All rows, in order. */
  rows: readonly TruthRow[]
  intervals: readonly TruthInterval[]
}

export type TruthEntry = {
  n: number
  seq: number
  isCommit: boolean
  bytes: number
  sender: number
  epoch: number
  logHash: number
}

/** Somebody's joining, leaving or removal. */
export type TruthChange = { n: number; seq: number; isOwed: boolean; isReadable: boolean; name: string }

/** One conversation's log as one reader should get it. */
export class ConvoTruth {
  readonly convoId: string
  readonly entries = new Map<number, TruthEntry>()
  readonly changes = new Map<string, TruthChange>()
  /** Seqs of the entries that the reader may read and that are kept, ascending. */
  readonly owed: number[] = []
  readonly intervals: readonly TruthInterval[]

  /** @param did the reader's: it need not be told of its own changes */
  constructor({ convoId, rows, intervals }: TruthConvo, did: string) {
    this.convoId = convoId
    this.intervals = intervals
    let seq = 0
    for (const row of rows) {
      seq = row.seq ?? seq
      if (row.seq !== null) this.#addEntry(row, row.seq)
      if (row.kind !== 'welcome') this.#addChanges(row, seq, did)
    }
  }

  isReadable(seq: number): boolean {
    return this.intervals.some(({ fromSeq, toSeq }) => seq >= fromSeq && seq <= (toSeq ?? seq))
  }

  /** Owed entries after one seq and before another. */
  owedBetween(after: number, before: number): number[] {
    const missing: number[] = []
    for (let index = firstAbove(this.owed, after); index < this.owed.length; index++) {
      if (this.owed[index]! >= before) break
      missing.push(this.owed[index]!)
    }
    return missing
  }

  /** Seq of the newest entry up to log row `n`. */
  seqAt(n: number): number {
    let seq = 0
    for (const entry of this.entries.values()) if (entry.n <= n) seq = entry.seq
    return seq
  }

  #addEntry(row: TruthRow, seq: number): void {
    this.entries.set(seq, {
      n: row.n,
      seq,
      isCommit: row.kind === 'commit',
      bytes: row.sha256 === null ? digestOfBytes(NOTHING) : digestOfHash(row.sha256),
      sender: digest(row.sender),
      epoch: row.epoch,
      logHash: digest(row.logHash ?? ''),
    })
    if (!row.isExpired && this.isReadable(seq)) this.owed.push(seq)
  }

  #addChanges({ n, kind, sender, added, removed }: TruthRow, seq: number, reader: string): void {
    const isReadable = this.intervals.some(({ joinedN, leftN }) => n >= joinedN && n <= (leftN ?? n))
    const add = (did: string, action: (typeof ACTIONS)[number]) => {
      const change = { n, seq, isReadable, isOwed: isReadable && did !== reader, name: `${did} ${action}` }
      this.changes.set(changeKey(digest(did), ACTIONS.indexOf(action), seq), change)
    }
    for (const did of kind === 'created' ? [sender] : (added ?? [])) add(did, 'joined')
    for (const did of removed ?? []) add(did, kind === 'left' ? 'left' : 'removed')
  }
}

/** Two changes of one DID in the same way have an entry between them. */
export function changeKey(did: number, action: number, seq: number): string {
  return `${did} ${action} ${seq}`
}

/** Index of the first number above `value` in an ascending list. */
function firstAbove(numbers: readonly number[], value: number): number {
  let low = 0
  let high = numbers.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (numbers[middle]! > value) high = middle
    else low = middle + 1
  }
  return low
}
