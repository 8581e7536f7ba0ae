import type { ConvoLog } from './convo-log.ts'
import type { StoredDatabase, StoredInterval } from './history.ts'
import { keyOf } from './match-rows.ts'
import type { ReplayedWorld } from './replay-logs.ts'

type Report = (problem: string) => void

/** Everything beside the log must follow from it: heads, membership intervals, Welcomes, records. */
export function checkTables(world: ReplayedWorld, database: StoredDatabase, report: Report): void {
  for (const log of world.logs.values()) {
    checkHead(log, database, report)
    checkIntervals(log, database, report)
    checkWelcomes(log, database, report)
  }
  for (const { convoId } of database.heads) {
    if (!world.logs.has(convoId)) report(`${convoId}: a head without a log`)
  }
  checkRecords(world, database, report)
}

function checkHead(log: ConvoLog, database: StoredDatabase, report: Report): void {
  const head = database.heads.find(({ convoId }) => convoId === log.convoId)
  if (!head) {
    report(`${log.convoId}: a log without a head`)
    return
  }
  const last = log.groups.at(-1)!
  if (head.version !== log.rows.at(-1)!.n) report(`${log.convoId}: head version ${head.version}`)
  if (!last.after) return
  const { epoch, seq, creator } = last.after
  if (head.epoch !== epoch) report(`${log.convoId}: head epoch ${head.epoch}, the log says ${epoch}`)
  if (head.seq !== seq) report(`${log.convoId}: head seq ${head.seq}, the log says ${seq}`)
  if (head.creator !== creator) report(`${log.convoId}: creator ${head.creator} instead of ${creator}`)
  const logHash = log.bySeq.get(seq)?.entry?.logHash
  if (logHash !== undefined && head.logHash !== logHash) report(`${log.convoId}: head has another log hash`)
}

function checkIntervals(log: ConvoLog, database: StoredDatabase, report: Report): void {
  const stored = database.intervals.filter(({ convoId }) => convoId === log.convoId)
  const wanted = intervalsOf(log)
  const texts = (intervals: StoredInterval[]) =>
    intervals
      .map(
        ({ did, joinedN, joinedIndex, fromSeq, toSeq, leftN }) =>
          `${did} joined at ${joinedN}/${joinedIndex}, left at ${leftN}, reads ${fromSeq} to ${toSeq}`,
      )
      .sort()
  const [has, should] = [texts(stored), texts(wanted)]
  for (const text of has) if (!should.includes(text)) report(`${log.convoId}: wrong interval: ${text}`)
  for (const text of should) if (!has.includes(text)) report(`${log.convoId}: no interval: ${text}`)
  if (has.length !== should.length) report(`${log.convoId}: ${has.length} intervals, not ${should.length}`)
}

/** A member reads from the entry that added it to the one that removed it; a departure ends before the next. */
function intervalsOf(log: ConvoLog): StoredInterval[] {
  const intervals: StoredInterval[] = []
  let seq = 0
  for (const { n, kind, sender, added = [], removed = [], seq: own } of log.rows) {
    seq = own ?? seq
    for (const did of removed) {
      const open = intervals.find((interval) => interval.did === did && interval.leftN === undefined)
      if (open) Object.assign(open, { leftN: n, toSeq: seq })
    }
    if (kind === 'welcome') continue
    for (const [joinedIndex, did] of (kind === 'created' ? [sender] : added).entries()) {
      intervals.push({ convoId: log.convoId, did, joinedN: n, joinedIndex, fromSeq: own ?? 1 })
    }
  }
  return intervals
}

function checkWelcomes(log: ConvoLog, database: StoredDatabase, report: Report): void {
  const stored = database.welcomes.filter(({ convoId }) => convoId === log.convoId)
  for (const { did, n } of stored) {
    const row = log.rows[n - 1]
    if (row?.kind !== 'welcome' || !row.added?.includes(did)) {
      report(`${log.convoId}: a Welcome for ${did} at n=${n} that no accepted command brought`)
    }
  }
  for (const { kind, n, added = [] } of log.rows) {
    if (kind !== 'welcome') continue
    for (const did of added) {
      if (!stored.some((welcome) => welcome.n === n && welcome.did === did)) {
        report(`${log.convoId}: the Welcome for ${did} at n=${n} is not there`)
      }
    }
  }
}

function checkRecords({ records }: ReplayedWorld, database: StoredDatabase, report: Report): void {
  const stored = new Set(database.records.map(keyOf))
  for (const [key, { convoId }] of records) {
    if (!stored.has(key))
      report(`${convoId}: accepted with the idempotency key "${key}", which is not recorded`)
  }
  for (const key of stored) {
    if (!records.has(key)) report(`idempotency key "${key}" is recorded for nothing`)
  }
}
