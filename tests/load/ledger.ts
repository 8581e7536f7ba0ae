import type { Pool } from '@catbird/shared/sql'
import { STAMP_BYTES } from './frame-writer.ts'
import type { Outcome, Verdict } from './operations.ts'

type Entry = { convoId: string; verdict: Verdict; seq: number | undefined }
type Row = { stamp: string; seq: number }

/** How the database bears out what callers were told. Only `problems` are wrong. */
export type LedgerReport = {
  acknowledged: number
  refused: number
  /** Without a final answer: they may be there or not. */
  unknown: number
  /** Of these, those that are there. */
  unknownStored: number
  problems: string[]
}

const MAX_ENTRIES = 5_000_000
const MAX_PROBLEMS = 20

/** Remembers what became of every message and commit, to be compared with the database. */
export class Ledger {
  readonly #entries = new Map<string, Entry>()

  observe({ stamp, convoId, verdict, seq }: Outcome): void {
    if (stamp === undefined) return
    if (this.#entries.size >= MAX_ENTRIES)
      throw new Error(`more than ${MAX_ENTRIES} writes: take less time or rate`)
    this.#entries.set(stamp, { convoId, verdict, seq })
  }

  /** Every acknowledged write is in the log once, at the place that was told; no refused one is; nothing else is. */
  async check(sql: Pool): Promise<LedgerReport> {
    const check = new LedgerCheck()
    const byConvo = Map.groupBy(this.#entries, ([, { convoId }]) => convoId)
    for (const [convoId, entries] of byConvo) {
      const rows = await readRows(sql, convoId)
      check.compare(
        convoId,
        new Map(entries),
        Map.groupBy(rows, ({ stamp }) => stamp),
      )
    }
    return check.report
  }
}

class LedgerCheck {
  readonly report: LedgerReport = { acknowledged: 0, refused: 0, unknown: 0, unknownStored: 0, problems: [] }

  compare(convoId: string, entries: Map<string, Entry>, stored: Map<string, Row[]>): void {
    for (const [stamp, { verdict, seq }] of entries) {
      const rows = stored.get(stamp) ?? []
      const where = `conversation ${convoId}, write ${stamp}`
      if (rows.length > 1) this.#problem(`stored ${rows.length} times: ${where}`)
      if (verdict === 'accepted') this.#compareAcknowledged(where, seq, rows)
      else if (verdict === 'refused') this.#compareRefused(where, rows)
      else this.#countUnknown(rows)
    }
    for (const stamp of stored.keys()) {
      if (!entries.has(stamp)) this.#problem(`nobody sent it: conversation ${convoId}, write ${stamp}`)
    }
  }

  #compareAcknowledged(where: string, seq: number | undefined, [row]: Row[]): void {
    this.report.acknowledged++
    if (row === undefined) this.#problem(`acknowledged and lost: ${where}, seq ${seq}`)
    else if (row.seq !== seq)
      this.#problem(`acknowledged with seq ${seq} and stored with ${row.seq}: ${where}`)
  }

  #compareRefused(where: string, rows: Row[]): void {
    this.report.refused++
    if (rows.length > 0) this.#problem(`refused and stored: ${where}`)
  }

  #countUnknown(rows: Row[]): void {
    this.report.unknown++
    if (rows.length > 0) this.report.unknownStored++
  }

  #problem(text: string): void {
    const { problems } = this.report
    if (problems.length < MAX_PROBLEMS) problems.push(text)
    else if (problems.length === MAX_PROBLEMS) problems.push('and more')
  }
}

async function readRows(sql: Pool, convoId: string): Promise<Row[]> {
  const rows = await sql`
    select seq::integer as seq, encode(substring(bytes from octet_length(bytes) - ${STAMP_BYTES - 1}), 'hex') as stamp
    from log where convo_id = ${convoId} and kind in ('app', 'commit') and bytes is not null`
  return rows.map(({ seq, stamp }) => ({ seq, stamp }))
}
