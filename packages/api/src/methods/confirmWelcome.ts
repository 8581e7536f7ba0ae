import { requireMember } from '../queries/access.ts'
import { confirmWelcome as confirm } from '../queries/welcomes.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

export const confirmWelcome: Method<'blue.catbird.mls.confirmWelcome'> = {
  maxBodyBytes: BODY_LIMITS.small,
  async run({ sql }, { convoId, success, errorDetails, keyPackageHash }, { caller }) {
    await requireMember(sql, convoId, caller)
    const key = { convoId, did: caller, keyPackageHash }
    return { confirmed: await confirm(sql, key, success ? { success } : { success, failure: errorDetails }) }
  },
}
