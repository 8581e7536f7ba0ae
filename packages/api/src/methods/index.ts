import type { MethodNsid } from '@catbird/shared/lexicon'
import type { Method } from '../xrpc/method.ts'
import { addMembers } from './addMembers.ts'
import { confirmWelcome } from './confirmWelcome.ts'
import { createConvo } from './createConvo.ts'
import { getCommits } from './getCommits.ts'
import { getConvos } from './getConvos.ts'
import { getEpoch } from './getEpoch.ts'
import { getKeyPackages } from './getKeyPackages.ts'
import { getMessages } from './getMessages.ts'
import { getSubscriptionTicket } from './getSubscriptionTicket.ts'
import { getWelcome } from './getWelcome.ts'
import { leaveConvo } from './leaveConvo.ts'
import { publishKeyPackage } from './publishKeyPackage.ts'
import { sendEphemeral } from './sendEphemeral.ts'
import { sendMessage } from './sendMessage.ts'
import { updateCursor } from './updateCursor.ts'

/** All methods that answer with one JSON object. A lexicon without a method, or the reverse, does not compile. */
export const METHODS: { [N in MethodNsid]: Method<N> } = {
  'blue.catbird.mls.createConvo': createConvo,
  'blue.catbird.mls.addMembers': addMembers,
  'blue.catbird.mls.leaveConvo': leaveConvo,
  'blue.catbird.mls.sendMessage': sendMessage,
  'blue.catbird.mls.getMessages': getMessages,
  'blue.catbird.mls.getCommits': getCommits,
  'blue.catbird.mls.getEpoch': getEpoch,
  'blue.catbird.mls.getConvos': getConvos,
  'blue.catbird.mls.publishKeyPackage': publishKeyPackage,
  'blue.catbird.mls.getKeyPackages': getKeyPackages,
  'blue.catbird.mls.getWelcome': getWelcome,
  'blue.catbird.mls.confirmWelcome': confirmWelcome,
  'blue.catbird.mls.updateCursor': updateCursor,
  'blue.catbird.mls.sendEphemeral': sendEphemeral,
  'blue.catbird.mls.getSubscriptionTicket': getSubscriptionTicket,
}
