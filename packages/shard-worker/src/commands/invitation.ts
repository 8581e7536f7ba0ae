import type { KeyPackageName, WelcomeInput } from '@catbird/shared/commands'
import type { WelcomeRecipient } from '@catbird/shared/events'
import { type Refused, refuse } from '../conversation/decision.ts'
import { type Facts, findKeyPackage, type KeyPackageFact } from '../conversation/facts.ts'

/** The key packages and Welcome that come with new members, checked. */
export type Invitation = {
  /** Packages to consume: those neither last-resort nor already consumed by this conversation. */
  consumed: KeyPackageName[]
  recipients: WelcomeRecipient[]
}

type Invite = {
  convoId: string
  dids: readonly string[]
  keyPackages: readonly KeyPackageName[]
  welcome?: WelcomeInput
}

/** Accepts the named packages and pairs each invited DID with its package, or says what is wrong. */
export function checkInvitation(invite: Invite, facts: Facts): { invitation: Invitation } | Refused {
  const found = new Map<KeyPackageName, KeyPackageFact>()
  const missing: KeyPackageName[] = []
  for (const name of invite.keyPackages) {
    const fact = findKeyPackage(facts, name)
    if (fact && isFree(fact, invite.convoId)) found.set(name, fact)
    else missing.push(name)
  }
  if (missing.length > 0) {
    return refuse('KeyPackageNotFound', 'key packages are unknown or used up', { missing })
  }
  const packages = [...new Set(found.values())]
  const stranger = invite.welcome && strangerReference(invite.welcome, packages)
  if (stranger) {
    return refuse('InvalidWelcome', 'the Welcome is for a key package that is not named', {
      newMember: stranger,
    })
  }
  const consumed = packages
    .filter((fact) => fact.consumedBy === null && !fact.lastResort)
    .map(({ did, hash }) => ({ did, hash }))
  return { invitation: { consumed, recipients: invite.welcome ? pair(invite.dids, packages) : [] } }
}

function isFree(fact: KeyPackageFact, convoId: string): boolean {
  return fact.consumedBy === null || fact.lastResort || fact.consumedBy === convoId
}

function strangerReference(welcome: WelcomeInput, packages: KeyPackageFact[]): string | undefined {
  if (packages.length === 0) return undefined
  return welcome.newMembers?.find((ref) => !packages.some((fact) => fact.ref === ref || fact.hash === ref))
}

function pair(dids: readonly string[], packages: KeyPackageFact[]): WelcomeRecipient[] {
  const named = packages.map(({ did, hash, ref }) => ({
    did,
    keyPackageHash: hash,
    keyPackageRef: ref ?? undefined,
  }))
  const unnamed = dids.filter((did) => !packages.some((fact) => fact.did === did))
  return [...named, ...unnamed.map((did) => ({ did }))]
}
