import type { Exchange, StoredRow } from './history.ts'
import type { ModelState } from './reference-model.ts'

/** The rows that one accepted command wrote, and what is known of it. */
export type RowGroup = {
  convoId: string
  /** Place among the conversation's groups, from 0. */
  index: number
  rows: StoredRow[]
  /** The row with a seq, if there is one. */
  entry?: StoredRow
  /** The exchange whose command it is. */
  owner?: Exchange
  /** Exchanges that were answered with this group: the owner's and repeats. */
  answered: Exchange[]
  /** Bounds of the time at which it became visible. */
  earliest: number
  latest: number
  /** The conversation after it, by the reference model. */
  after?: ModelState
}

export type ConvoLog = {
  convoId: string
  rows: StoredRow[]
  groups: RowGroup[]
  bySeq: Map<number, RowGroup>
}

/** Sorts rows into conversations and those into the groups of one command each. */
export function convoLogs(rows: StoredRow[]): Map<string, ConvoLog> {
  const logs = new Map<string, ConvoLog>()
  for (const row of [...rows].sort((a, b) => a.n - b.n)) {
    const { convoId } = row
    const log: ConvoLog = logs.get(convoId) ?? { convoId, rows: [], groups: [], bySeq: new Map() }
    logs.set(convoId, log)
    log.rows.push(row)
    addToGroup(log, row)
  }
  return logs
}

function addToGroup(log: ConvoLog, row: StoredRow): void {
  let group = log.groups.at(-1)
  if (!group || group.rows[0]!.entryId !== row.entryId) {
    const { convoId } = log
    group = {
      convoId,
      index: log.groups.length,
      rows: [],
      answered: [],
      earliest: -Infinity,
      latest: Infinity,
    }
    log.groups.push(group)
  }
  group.rows.push(row)
  if (row.seq === undefined) return
  group.entry ??= row
  if (!log.bySeq.has(row.seq)) log.bySeq.set(row.seq, group)
}

export function describe({ command, reply, invokedAt, repliedAt }: Exchange): string {
  const outcome = reply === undefined ? 'no reply' : reply.ok ? 'accepted' : reply.refusal.error
  return `${command.type} ${command.requestId} in ${command.convoId} [${invokedAt}–${repliedAt ?? '∞'}] → ${outcome}`
}
