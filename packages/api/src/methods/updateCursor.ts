import { requireMember } from '../queries/access.ts'
import { invalidCursor, readMessageCursor } from '../queries/cursor.ts'
import { useToken } from '../queries/use-token.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

export const updateCursor: Method<'blue.catbird.mls.updateCursor'> = {
  maxBodyBytes: BODY_LIMITS.small,
  async run({ sql, readPositions }, { convoId, cursor }, { caller, tokenUse }) {
    const { lastSeq } = await requireMember(sql, convoId, caller)
    const seq = /^\d{1,15}$/.test(cursor) ? Number(cursor) : readMessageCursor(convoId, cursor).top
    if (seq > lastSeq) throw invalidCursor()
    // Read positions are written in batches: the token goes first, on its own. The greatest position wins anyway.
    if (tokenUse) await useToken(sql, tokenUse)
    if (seq > 0) await readPositions.advance(caller, convoId, seq)
    return { success: true }
  },
}
