import { refuseMessageEpoch } from '@catbird/shard-worker/conversation/epoch'
import { RefusalError } from '@catbird/shared/errors'
import { requireMember } from '../queries/access.ts'
import { readEpoch } from '../queries/epoch.ts'
import { useToken } from '../queries/use-token.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'
import { checkApplicationMessage } from '../xrpc/mls-input.ts'

const MAX_BYTES = 4 * 1024

export const sendEphemeral: Method<'blue.catbird.mls.sendEphemeral'> = {
  maxBodyBytes: BODY_LIMITS.small,
  async run({ database, config, ephemerals }, input, { caller, tokenUse }) {
    const { convoId, ciphertext, epoch } = input
    if (ciphertext.length > MAX_BYTES) {
      const details = { field: 'ciphertext', maxBytes: MAX_BYTES }
      throw new RefusalError('MessageTooLarge', 'ciphertext is too large', details)
    }
    checkApplicationMessage(config.mls.validation, input)
    await database.query('membership', (sql) => requireMember(sql, convoId, caller))
    const { currentEpoch } = await database.query('epoch', (sql) => readEpoch(sql, convoId))
    const stale = refuseMessageEpoch({ epoch: currentEpoch }, epoch, config.mls.messageEpochWindow)
    if (stale) throw new RefusalError(stale.error, stale.message, stale.details)
    // What waits is sent in batches: the token goes first, on its own.
    if (tokenUse) await database.query('use_token', (sql) => useToken(sql, tokenUse))
    await ephemerals.publish({ convoId, sender: caller, ciphertext, epoch })
    return { success: true }
  },
}
