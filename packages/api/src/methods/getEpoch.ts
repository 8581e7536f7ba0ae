import { requireMember } from '../queries/access.ts'
import { readEpoch } from '../queries/epoch.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

export const getEpoch: Method<'blue.catbird.mls.getEpoch'> = {
  maxBodyBytes: BODY_LIMITS.none,
  async run({ database }, { convoId }, { caller }) {
    await database.query('membership', (sql) => requireMember(sql, convoId, caller))
    return database.query('epoch', (sql) => readEpoch(sql, convoId))
  },
}
