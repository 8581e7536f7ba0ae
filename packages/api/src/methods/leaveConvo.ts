import { BODY_LIMITS, type Method } from '../xrpc/method.ts'
import { readCommit } from '../xrpc/mls-input.ts'
import { commandBase, runCommand } from '../xrpc/run-command.ts'

const NSID = 'blue.catbird.mls.leaveConvo'

export const leaveConvo: Method<typeof NSID> = {
  maxBodyBytes: BODY_LIMITS.message,
  async run(context, input, request) {
    return runCommand<typeof NSID>(context, {
      ...commandBase(NSID, input, input.convoId, request),
      type: 'leaveConvo',
      target: input.targetDid ?? request.caller,
      commit: readCommit(context.config.mls.validation, input),
    })
  },
}
