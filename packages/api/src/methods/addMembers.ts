import { BODY_LIMITS, type Method } from '../xrpc/method.ts'
import { readCommit, readWelcomeInput } from '../xrpc/mls-input.ts'
import { commandBase, runCommand } from '../xrpc/run-command.ts'

const NSID = 'blue.catbird.mls.addMembers'

export const addMembers: Method<typeof NSID> = {
  maxBodyBytes: BODY_LIMITS.commitAndWelcome,
  async run(context, input, request) {
    const { validation } = context.config.mls
    return runCommand<typeof NSID>(context, {
      ...commandBase(NSID, input, input.convoId, request),
      type: 'addMembers',
      dids: input.didList,
      commit: readCommit(validation, input),
      welcome: readWelcomeInput(validation, input.welcomeMessage),
      keyPackages: input.keyPackageHashes ?? [],
    })
  },
}
