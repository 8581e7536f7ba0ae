import { type LeavingParts, leaveOrDelete } from './leave-convo.ts'
import { readMemberships } from './memberships.ts'
import {
  deleteKeyPackages,
  deleteReadPositions,
  deleteRecords,
  deleteWelcomes,
  releaseClaims,
} from './personal-rows.ts'

/** Numbers of what an erasure removes, or would. */
export type Erasure = {
  keyPackages: number
  /** Others' key packages that the DID has claimed. */
  claims: number
  records: number
  /** Conversations with others, which it leaves. */
  left: number
  /** Conversations in which it was the only member. */
  deleted: number
  readPositions: number
  /** Without those of the conversations that are deleted. */
  welcomes: number
  /** Conversations that it is in still: running again may finish them. */
  failed: number
}

/**
 * Removes what is kept because of a DID and can go without harm to others' groups. Small steps, each a transaction
 * of its own and safe beside running servers; running again finishes what was interrupted.
 */
export async function erase(parts: LeavingParts, did: string): Promise<Erasure> {
  const { sql } = parts
  const keyPackages = await deleteKeyPackages(sql, did)
  const claims = await releaseClaims(sql, did)
  const records = await deleteRecords(sql, did)
  const outcomes = { left: 0, deleted: 0, away: 0, failed: 0 }
  let welcomes = 0
  for await (const { convoId, isMember } of readMemberships(sql, did)) {
    if (isMember) outcomes[await leaveOrDelete(parts, convoId, did)]++
    // Leaving has withdrawn those that were open.
    welcomes += await deleteWelcomes(sql, convoId, did)
  }
  const readPositions = await deleteReadPositions(sql, did)
  const { left, deleted, failed } = outcomes
  return { keyPackages, claims, records, left, deleted, readPositions, welcomes, failed }
}
