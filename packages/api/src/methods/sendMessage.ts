import { sha256Hex } from '@catbird/shared/bytes'
import { RefusalError } from '@catbird/shared/errors'
import { contentHash } from '@catbird/shared/lexicon'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'
import { checkApplicationMessage } from '../xrpc/mls-input.ts'
import { commandBase, runCommand } from '../xrpc/run-command.ts'

const NSID = 'blue.catbird.mls.sendMessage'

export const sendMessage: Method<typeof NSID> = {
  maxBodyBytes: BODY_LIMITS.message,
  async run(context, input, request) {
    const { ciphertext, senderDid, msgId } = input
    if (senderDid !== undefined && senderDid !== request.caller) {
      throw new RefusalError('Forbidden', 'senderDid is not the caller')
    }
    checkApplicationMessage(context.config.mls.validation, input)
    return runCommand<typeof NSID>(context, {
      ...commandBase(NSID, input, input.convoId, request),
      type: 'sendMessage',
      bytes: ciphertext,
      sha256: sha256Hex(ciphertext),
      epoch: input.epoch,
      message: msgId === undefined ? undefined : { id: msgId, contentHash: contentHash(NSID, input) },
      embedType: input.embedType,
      embedUri: input.embedUri,
    })
  },
}
