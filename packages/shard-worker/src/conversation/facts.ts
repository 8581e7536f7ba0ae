import type { Answer, KeyPackageName } from '@catbird/shared/commands'

/** Rows outside a conversation's state that one command needs; absent fields are not needed. */
export type FactKeys = {
  convoId: string
  record?: { caller: string; method: string; key: string }
  messageId?: string
  keyPackages?: KeyPackageName[]
  /** Was there a conversation of this name that has been erased? */
  isNew?: boolean
  /** Has this token been used? */
  tokenHash?: string
  /** DIDs that are not active: were they ever members? */
  formerMembers?: string[]
}

export type KeyPackageFact = {
  did: string
  hash: string
  ref: string | null
  lastResort: boolean
  consumedBy: string | null
}

export type Facts = {
  record?: { contentHash: string; answer: Answer }
  message?: { sender: string; contentHash: string | null; answer: Answer }
  isTokenUsed?: boolean
  wasErased?: boolean
  /** The packages found, in no order; those named and not here do not exist (any more). */
  keyPackages: KeyPackageFact[]
  formerMembers: string[]
}

export const NO_FACTS: Facts = { keyPackages: [], formerMembers: [] }

/** The package that a name stands for: by its hash or by its reference. */
export function findKeyPackage(facts: Facts, name: KeyPackageName): KeyPackageFact | undefined {
  return facts.keyPackages.find(
    (fact) => fact.did === name.did && (fact.hash === name.hash || fact.ref === name.hash),
  )
}
