import { RefusalError } from '@catbird/shared/errors'
import { requireReader } from '../queries/access.ts'
import { readCommits } from '../queries/commits.ts'
import { readCommitCursor, writeCommitCursor } from '../queries/cursor.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

export const getCommits: Method<'blue.catbird.mls.getCommits'> = {
  maxBodyBytes: BODY_LIMITS.none,
  async run({ database }, { convoId, fromEpoch, toEpoch, limit, cursor }, { caller }) {
    const { intervals } = await database.query('membership', (sql) => requireReader(sql, convoId, caller))
    if (toEpoch !== undefined && fromEpoch > toEpoch) {
      throw new RefusalError('InvalidEpochRange', 'fromEpoch is after toEpoch', { fromEpoch, toEpoch })
    }
    const afterSeq = cursor === undefined ? 0 : readCommitCursor(convoId, cursor)
    const page = { convoId, intervals, fromEpoch, toEpoch, afterSeq, limit }
    const { commits, more } = await database.query('commits', (sql) => readCommits(sql, page))
    return { convoId, commits, ...(more && { cursor: writeCommitCursor(convoId, commits.at(-1)!.seq!) }) }
  },
}
