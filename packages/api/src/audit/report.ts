/** What the audit holds the database to, one name per promise. */
export const RULES = [
  /** Entries 1 … seq are there, but for expired application messages. */
  'seq_gap',
  /** Log rows 1 … version are there, but for expired application messages; the first is the creation. */
  'n_gap',
  /** The head says what the log says. */
  'head_mismatch',
  /** Log rows belong to a conversation. */
  'head_missing',
  /** Commits follow each other without a hole in their epochs. */
  'epoch_gap',
  /** One commit per epoch. */
  'epoch_duplicate',
  /** No row bears an epoch above its conversation's at that time. */
  'epoch_ahead',
  /** Every `logHash` follows from the entry and the one before. */
  'chain_broken',
  /** No row is older than its predecessor. */
  'time_backwards',
  /** Stream positions do not go back within one life of the database. */
  'position_backwards',
  /** No Welcome without the commit or creation that it belongs to. */
  'welcome_without_commit',
  /** A Welcome has its bytes and a row for each recipient, and was withdrawn only by something that happened. */
  'welcome_incomplete',
  /** Membership is what the log makes of it: intervals open and close with its rows and do not overlap. */
  'interval_unsound',
  /** Key packages are used up by a conversation that exists, and by the one whose Welcome names them. */
  'key_package_unsound',
  /** What is kept for repeats is what happened. */
  'record_unsound',
  /** Nobody has read what is not there. */
  'cursor_ahead',
] as const

export type Rule = (typeof RULES)[number]

/** One broken promise. `detail` names rows by their numbers: never DIDs, keys or content. */
export type Violation = { rule: Rule; convoId?: string; detail: string }

/** Takes what is wrong with one conversation. */
export type Report = (rule: Rule, detail: string) => void

export type AuditReport = {
  conversations: number
  /** Kept log rows that have a seq. */
  entries: number
  durationMs: number
  violations: number
  byRule: Record<Rule, number>
  /** The first ones found. */
  first: Violation[]
}

/** How many violations are told one by one; the others are counted. */
const MAX_TOLD = 20

/** Counts what an audit sees. */
export class Findings {
  conversations = 0
  entries = 0
  readonly #byRule = Object.fromEntries(RULES.map((rule) => [rule, 0])) as Record<Rule, number>
  readonly #first: Violation[] = []

  add(rule: Rule, convoId: string | undefined, detail: string): void {
    this.#byRule[rule]++
    if (this.#first.length < MAX_TOLD) this.#first.push({ rule, convoId, detail })
  }

  report(durationMs: number): AuditReport {
    return {
      conversations: this.conversations,
      entries: this.entries,
      durationMs,
      violations: Object.values(this.#byRule).reduce((sum, count) => sum + count, 0),
      byRule: this.#byRule,
      first: this.#first,
    }
  }
}
