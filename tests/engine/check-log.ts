import { createHash } from 'node:crypto'
import type { ConvoLog } from './convo-log.ts'
import type { StoredRow } from './history.ts'

/** What must hold of one conversation's log whatever was asked: gapless, ordered, chained. */
export function checkLog(log: ConvoLog, report: (problem: string) => void): void {
  const at = (row: StoredRow) => `${log.convoId} n=${row.n}`
  for (const [i, row] of log.rows.entries()) {
    if (row.n !== i + 1) report(`${at(row)}: the rows have a gap or a double, n=${i + 1} expected`)
    const before = log.rows[i - 1]
    if (before && row.createdAtMs < before.createdAtMs) report(`${at(row)}: createdAt goes backwards`)
    if ((row.kind === 'created') !== (i === 0)) report(`${at(row)}: kind ${row.kind} out of place`)
  }
  checkEntries(log, at, report)
  checkCommitEpochs(log, at, report)
  checkGroups(log, at, report)
}

function checkEntries(
  log: ConvoLog,
  at: (row: StoredRow) => string,
  report: (problem: string) => void,
): void {
  let hash: Uint8Array = createHash('sha256').update(log.convoId).digest()
  let seq = 0
  for (const row of log.rows) {
    const isEntry = row.kind === 'app' || row.kind === 'commit'
    if (isEntry !== (row.seq !== undefined)) report(`${at(row)}: ${row.kind} with seq ${row.seq}`)
    if (!isEntry) continue
    seq++
    if (row.seq !== seq) report(`${at(row)}: seq ${row.seq}, ${seq} expected`)
    hash = nextLink(hash, row)
    if (row.logHash !== Buffer.from(hash).toString('hex')) report(`${at(row)}: the log chain is broken`)
  }
}

/** Rule 7 of the contract, from its text. */
function nextLink(previous: Uint8Array, { seq, epoch, kind, sender, bytes }: StoredRow): Uint8Array {
  const numbers = Buffer.alloc(17)
  numbers.writeBigUInt64BE(BigInt(seq!), 0)
  numbers.writeBigUInt64BE(BigInt(epoch), 8)
  numbers[16] = kind === 'app' ? 1 : 2
  const name = Buffer.from(sender, 'utf8')
  const length = Buffer.alloc(2)
  length.writeUInt16BE(name.length)
  const content = createHash('sha256')
    .update(bytes ?? '')
    .digest()
  return createHash('sha256')
    .update(Buffer.concat([previous, numbers, length, name, content]))
    .digest()
}

/** After the first commit with bytes each has bytes and ends the epoch of the one before. */
function checkCommitEpochs(
  log: ConvoLog,
  at: (row: StoredRow) => string,
  report: (problem: string) => void,
): void {
  let epoch: number | undefined
  for (const row of log.rows) {
    if (row.kind !== 'commit') continue
    if (epoch !== undefined && !row.bytes)
      report(`${at(row)}: a commit entry without bytes after a real commit`)
    if (epoch !== undefined && row.epoch !== epoch + 1) {
      report(`${at(row)}: commit epoch ${row.epoch}, ${epoch + 1} expected`)
    }
    if (row.bytes) epoch = row.epoch
  }
}

/** The rows of a command stand together, and a Welcome only behind the commit or creation that it belongs to. */
function checkGroups(log: ConvoLog, at: (row: StoredRow) => string, report: (problem: string) => void): void {
  const entryIds = new Set<string>()
  for (const { rows } of log.groups) {
    const first = rows[0]!
    if (entryIds.has(first.entryId))
      report(`${at(first)}: the rows of ${first.entryId} do not stand together`)
    entryIds.add(first.entryId)
    const kinds = rows.map(({ kind }) => kind).join(' ')
    if (!/^(created( joined)?( welcome)?|commit( welcome)?|app|left)$/.test(kinds)) {
      report(`${at(first)}: one command cannot have written ${kinds}`)
    }
  }
}
