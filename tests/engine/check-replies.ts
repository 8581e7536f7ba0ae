import { type ConvoLog, describe, type RowGroup } from './convo-log.ts'
import type { Exchange } from './history.ts'

type Report = (problem: string) => void

/** Every accepted command was told what the log says, and not before it could say so. */
export function checkReplies(logs: Map<string, ConvoLog>, report: Report): void {
  for (const log of logs.values()) {
    for (const group of log.groups) {
      for (const exchange of group.answered) checkReply(group, exchange, report)
    }
  }
}

function checkReply(group: RowGroup, exchange: Exchange, report: Report): void {
  const { committedAt } = group.rows[0]!
  if (committedAt !== undefined && exchange.repliedAt! < committedAt) {
    report(`${describe(exchange)}: answered before COMMIT at ${committedAt}`)
  }
  if (!group.after || !exchange.reply?.ok) return
  const { answer } = exchange.reply
  for (const [field, value] of Object.entries(expectedAnswer(group, exchange))) {
    if (JSON.stringify(answer[field]) !== JSON.stringify(value)) {
      report(`${describe(exchange)}: answer says ${field}=${answer[field]}, the log says ${value}`)
    }
  }
}

function expectedAnswer(group: RowGroup, { command }: Exchange): Record<string, unknown> {
  const { entry, rows, after } = group
  const createdAt = new Date(rows[0]!.createdAtMs).toISOString()
  switch (command.type) {
    case 'createConvo': {
      const { creator, members, epoch } = after!
      const view = members.map((did) => {
        return { did, joinedAt: createdAt, role: did === creator ? 'creator' : 'member' }
      })
      const { convoId, cipherSuite } = command
      return { id: convoId, groupId: convoId, creator, members: view, epoch, cipherSuite, createdAt }
    }
    case 'sendMessage': {
      const { messageId, seq, epoch, logHash } = entry!
      return { messageId, receivedAt: createdAt, seq, epoch, logHash }
    }
    default: {
      const change = { success: true, newEpoch: after!.epoch }
      return entry ? { ...change, seq: entry.seq, logHash: entry.logHash } : change
    }
  }
}
