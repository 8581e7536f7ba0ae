import { BODY_LIMITS, type Method } from '../xrpc/method.ts'
import { readWelcomeInput } from '../xrpc/mls-input.ts'
import { commandBase, runCommand } from '../xrpc/run-command.ts'

const NSID = 'blue.catbird.mls.createConvo'

export const createConvo: Method<typeof NSID> = {
  maxBodyBytes: BODY_LIMITS.message,
  async run(context, input, request) {
    return runCommand<typeof NSID>(context, {
      ...commandBase(NSID, input, input.groupId, request),
      type: 'createConvo',
      cipherSuite: input.cipherSuite,
      initialMembers: input.initialMembers ?? [],
      welcome: readWelcomeInput(context.config.mls.validation, input.welcomeMessage),
      keyPackages: input.keyPackageHashes ?? [],
      name: input.metadata?.name,
      description: input.metadata?.description,
      epoch: input.epoch,
    })
  },
}
