import type { KeyPackageRef } from '@catbird/shared/lexicon/types'
import { addition, didOf, identities, identityOfKeyPackage, removals } from './mls-crypto.ts'
import type { CommitOutcome, MlsGroup } from './mls-group.ts'

/** Adds every device of these DIDs that has published a key package and is not in the group, with one commit. */
export async function addMembers(group: MlsGroup, dids: string[]): Promise<CommitOutcome> {
  const { keyPackages, missing } = await group.caller.ok('getKeyPackages', { dids })
  if (missing?.length) throw new Error(`no key package for ${missing.join(', ')}`)
  const packages = keyPackages.map((one) => {
    const bytes = Buffer.from(one.keyPackage, 'base64')
    return { ...one, bytes, identity: identityOfKeyPackage(bytes) }
  })
  return group.commit((state) => {
    const present = identities(state)
    const absent = packages.filter(({ identity }) => !present.includes(identity))
    if (absent.length === 0) return undefined
    return {
      method: 'addMembers',
      input: { didList: [...new Set(absent.map(({ did }) => did))], keyPackageHashes: absent.map(named) },
      proposals: absent.map(({ bytes }) => addition(bytes)),
    }
  })
}

/** Replaces this member's keys. */
export function updateKeys(group: MlsGroup): Promise<CommitOutcome> {
  return group.commit(() => ({ method: 'addMembers', input: { didList: [] }, proposals: [] }))
}

/** Removes all devices of a DID, be it a present member (for the creator) or one who has left. */
export function removeMember(group: MlsGroup, did: string): Promise<CommitOutcome> {
  return group.commit((state) => {
    const proposals = removals(state, did)
    if (proposals.length === 0) return undefined
    return { method: 'leaveConvo', input: { targetDid: did }, proposals }
  })
}

/** Leaves with all devices. Nobody can commit its own removal: that is left to the others (see finishLeaves). */
export async function leave(group: MlsGroup): Promise<void> {
  await group.caller.ok('leaveConvo', { convoId: group.convoId })
}

/** Commits the removal of those who have left but still are in the MLS group. */
export async function finishLeaves(group: MlsGroup): Promise<void> {
  await group.sync()
  const present = await memberDids(group)
  const departed = new Set(group.members.map(didOf).filter((did) => !present.includes(did)))
  for (const did of departed) await removeMember(group, did)
}

/** The members by the server's account. */
export async function memberDids({ caller, convoId }: MlsGroup): Promise<string[]> {
  let cursor: string | undefined
  do {
    const page = await caller.ok('getConvos', { limit: 100, ...(cursor && { cursor }) })
    const convo = page.conversations.find(({ id }) => id === convoId)
    if (convo) return convo.members.map(({ did }) => did)
    cursor = page.cursor
  } while (cursor)
  throw new Error('the conversation is not listed')
}

function named({ did, keyPackageHash }: KeyPackageRef): { did: string; hash: string } {
  if (keyPackageHash === undefined) throw new Error('the server left out keyPackageHash')
  return { did, hash: keyPackageHash }
}
