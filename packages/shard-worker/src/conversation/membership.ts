import { type Refusal, refusal } from '@catbird/shared/errors'
import type { Facts } from './facts.ts'
import type { ConvoState } from './state.ts'

/** Whether a DID that is not active was a member before: by the rows, or by what happened since they were read. */
export function wasMember(state: ConvoState, facts: Facts, did: string): boolean {
  return facts.formerMembers.includes(did) || (state.left?.includes(did) ?? false)
}

/** Why a caller may not act here; nothing when it is an active member. Strangers do not learn what exists. */
export function refuseNonMember(state: ConvoState | null, facts: Facts, did: string): Refusal | undefined {
  if (state?.members.has(did)) return undefined
  if (state && wasMember(state, facts, did)) {
    return refusal('NotMember', 'the caller is no longer a member of this conversation')
  }
  return refusal('ConvoNotFound', 'no such conversation')
}
