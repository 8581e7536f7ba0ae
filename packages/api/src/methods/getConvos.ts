import { listConvos } from '../queries/convos.ts'
import { readConvoCursor, writeConvoCursor } from '../queries/cursor.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

export const getConvos: Method<'blue.catbird.mls.getConvos'> = {
  maxBodyBytes: BODY_LIMITS.none,
  async run({ database }, { limit, cursor }, { caller }) {
    const after = cursor === undefined ? undefined : readConvoCursor(cursor)
    const { conversations, next } = await database.query('convos', (sql) =>
      listConvos(sql, { did: caller, limit, after }),
    )
    return { conversations, ...(next && { cursor: writeConvoCursor(next) }) }
  },
}
