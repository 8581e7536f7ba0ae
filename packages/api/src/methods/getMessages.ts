import type { GetMessagesParams } from '@catbird/shared/lexicon'
import type { Query } from '../database/front-database.ts'
import { type Access, requireReader } from '../queries/access.ts'
import { invalidCursor, readMessageCursor, writeMessageCursor } from '../queries/cursor.ts'
import { firstKeptSeq, readMessages, seqOfMessage } from '../queries/messages.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

export const getMessages: Method<'blue.catbird.mls.getMessages'> = {
  maxBodyBytes: BODY_LIMITS.none,
  async run({ database, readPositions }, params, { caller }) {
    const { convoId, type, limit, markRead } = params
    const access = await database.query('membership', (sql) => requireReader(sql, convoId, caller))
    const start = await startOf(database.query, params, access)
    const [page, firstSeq] = await Promise.all([
      database.query('messages', (sql) =>
        readMessages(sql, { convoId, intervals: access.intervals, kind: type, limit, ...start }),
      ),
      database.query('first_kept_seq', (sql) => firstKeptSeq(sql, convoId, access.intervals)),
    ])
    const seqs = page.messages.map(({ seq }) => seq)
    const top = Math.max(0, ...seqs)
    if (markRead && access.isMember && type !== 'commit' && top > 0) {
      await readPositions.advance(caller, convoId, top)
    }
    return {
      messages: page.messages,
      ...(page.more && {
        cursor: writeMessageCursor(convoId, { direction: start.direction, seq: seqs.at(-1)!, top }),
      }),
      ...(firstSeq !== undefined && { firstSeq }),
      lastSeq: access.isMember ? access.lastSeq : Math.max(...access.intervals.map(({ to }) => to)),
    }
  },
}

/** A cursor goes on in its page's direction; a position begins after it; otherwise the newest come first. */
async function startOf(
  query: Query,
  params: GetMessagesParams,
  { intervals }: Access,
): Promise<{ direction: 'forward' | 'backward'; seq?: number }> {
  const { convoId, cursor, sinceSeq, sinceMessage, type } = params
  if (cursor !== undefined) return readMessageCursor(convoId, cursor)
  if (sinceSeq !== undefined) return { direction: 'forward', seq: sinceSeq }
  if (sinceMessage !== undefined) {
    const seq = await query('seq_of_message', (sql) => seqOfMessage(sql, convoId, sinceMessage, intervals))
    if (seq === undefined) throw invalidCursor()
    return { direction: 'forward', seq }
  }
  return { direction: type === 'commit' ? 'forward' : 'backward' }
}
