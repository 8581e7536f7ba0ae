import type { Head } from './read-head.ts'
import type { LogPageRow } from './read-log-page.ts'

/** What a log says that its head must say too. */
type LogSummary = {
  first: LogPageRow
  last: LogPageRow
  lastCommit: LogPageRow | undefined
  /** False when the last rows are missing, as expired messages are. */
  isTailKept: boolean
  isTracked: boolean
  /** Between which times the last message came; absent when there was none. */
  messageMs: { min: number; max: number } | undefined
}

/** Names what differs, seq and version apart. A head keeps what a missing last message did: only it was younger. */
export function compareHead(head: Head, log: LogSummary): string[] {
  const checks = {
    epoch: head.epoch === (log.lastCommit ?? log.first).epoch,
    tracking: head.tracking === 'tracked' || !log.isTracked,
    last_commit_seq: head.lastCommitSeq === (log.lastCommit?.seq ?? null),
    last_commit_epoch: head.lastCommitEpoch === (log.lastCommit?.epoch ?? null),
    last_commit_sha256: head.lastCommitSha256 === (log.lastCommit?.sha256 ?? null),
    created_at: head.createdAt.getTime() === log.first.createdAt.getTime(),
    last_at: isLastTime(head, log),
    last_message_at: isLastMessageTime(head, log),
    position: isLastPosition(head, log),
  }
  return Object.entries(checks).flatMap(([name, holds]) => (holds ? [] : [name]))
}

function isLastTime({ lastAt, lastMessageAt }: Head, { last, isTailKept }: LogSummary): boolean {
  if (isTailKept) return lastAt.getTime() === last.createdAt.getTime()
  return lastAt.getTime() === lastMessageAt?.getTime() && lastAt >= last.createdAt
}

function isLastMessageTime({ lastMessageAt }: Head, { last, isTailKept, messageMs }: LogSummary): boolean {
  if (!isTailKept) return lastMessageAt !== null && lastMessageAt >= last.createdAt
  const ms = lastMessageAt?.getTime()
  if (ms === undefined || !messageMs) return ms === undefined && !messageMs
  return ms >= messageMs.min && ms <= messageMs.max
}

function isLastPosition({ incarnation, pos }: Head, { last, isTailKept }: LogSummary): boolean {
  if (isTailKept) return incarnation === last.incarnation && pos === last.pos
  return incarnation !== last.incarnation || pos >= last.pos
}
