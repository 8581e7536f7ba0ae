import type { Query } from '../database/front-database.ts'
import { isStreamCursor, readStreamCursor } from '../events/stream-cursor.ts'
import { requireMember } from '../queries/access.ts'
import { invalidCursor, readMessageCursor } from '../queries/cursor.ts'
import { seqHadBy } from '../queries/seq-had.ts'
import { useToken } from '../queries/use-token.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

export const updateCursor: Method<'blue.catbird.mls.updateCursor'> = {
  maxBodyBytes: BODY_LIMITS.small,
  async run({ database, readPositions }, { convoId, cursor }, { caller, tokenUse }) {
    const { lastSeq } = await database.query('membership', (sql) => requireMember(sql, convoId, caller))
    const seq = await seqOf(database.query, convoId, cursor)
    if (seq > lastSeq) throw invalidCursor()
    // Read positions are written in batches: the token goes first, on its own. The greatest position wins anyway.
    if (tokenUse) await database.query('use_token', (sql) => useToken(sql, tokenUse))
    if (seq > 0) await readPositions.advance(caller, convoId, seq)
    return { success: true }
  },
}

/** How far a reader with this cursor has come: a seq itself, the end of a page, or a position of a stream. */
async function seqOf(query: Query, convoId: string, cursor: string): Promise<number> {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor)
  if (isStreamCursor(cursor)) {
    const position = readStreamCursor(cursor)
    return query('seq_had', (sql) => seqHadBy(sql, convoId, position))
  }
  return readMessageCursor(convoId, cursor).top
}
