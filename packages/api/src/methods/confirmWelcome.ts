import { requireMember } from '../queries/access.ts'
import { usingToken } from '../queries/use-token.ts'
import { confirmWelcome as confirm } from '../queries/welcomes.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

export const confirmWelcome: Method<'blue.catbird.mls.confirmWelcome'> = {
  maxBodyBytes: BODY_LIMITS.small,
  async run({ database }, { convoId, success, errorDetails, keyPackageHash }, { caller, tokenUse }) {
    await database.query('membership', (sql) => requireMember(sql, convoId, caller))
    const key = { convoId, did: caller, keyPackageHash }
    const confirmation = success ? { success } : { success, failure: errorDetails }
    const confirmed = await database.query('confirm_welcome', (sql) =>
      usingToken(sql, tokenUse, (transaction) => confirm(transaction, key, confirmation)),
    )
    return { confirmed }
  },
}
