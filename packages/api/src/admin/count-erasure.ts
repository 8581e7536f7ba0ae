import type { Sql } from '@catbird/shared/sql'
import type { Erasure } from './erase.ts'
import { readMemberships } from './memberships.ts'

/** Numbers of what stays of a DID in conversations that others are in. */
export type Kept = {
  convos: number
  /** Application messages that it sent. */
  messages: number
  /** Commits that it made, or that added or removed it. */
  commits: number
  /** Rows of the log that are no entries and name it: created, joined, left, a Welcome of its making. */
  otherRows: number
  intervals: number
}

/** What an erasure would remove now. */
export async function countErasable(sql: Sql, did: string): Promise<Erasure> {
  const [rows] = await sql<[Pick<Erasure, 'keyPackages' | 'claims' | 'records' | 'readPositions'>]>`
    select
      (select count(*)::integer from key_packages where did = ${did}) as "keyPackages",
      (select count(*)::integer from key_packages where reserved_by = ${did} and did <> ${did}) as claims,
      (select count(*)::integer from idempotency where caller = ${did}) as records,
      (select count(*)::integer from cursors where did = ${did}) as "readPositions"`
  const counts = { ...rows, left: 0, deleted: 0, welcomes: 0, failed: 0 }
  for await (const { convoId, isMember, isAlone } of readMemberships(sql, did)) {
    if (isAlone) {
      counts.deleted++
      continue
    }
    if (isMember) counts.left++
    const [row] = await sql<[{ count: number }]>`
      select count(*)::integer as count from welcomes where convo_id = ${convoId} and did = ${did}`
    counts.welcomes += row.count
  }
  return counts
}

/** What an erasure leaves, before it or after. */
export async function countKept(sql: Sql, did: string): Promise<Kept> {
  const kept = { convos: 0, messages: 0, commits: 0, otherRows: 0, intervals: 0 }
  for await (const { convoId, intervals, isAlone } of readMemberships(sql, did)) {
    if (isAlone) continue
    const [rows] = await sql<[Pick<Kept, 'messages' | 'commits' | 'otherRows'>]>`
      select count(*) filter (where kind = 'app')::integer as messages,
        count(*) filter (where kind = 'commit')::integer as commits,
        count(*) filter (where seq is null)::integer as "otherRows"
      from log
      where convo_id = ${convoId}
        and (sender = ${did} or kind <> 'welcome' and (${did} = any(added) or ${did} = any(removed)))`
    kept.convos++
    kept.intervals += intervals
    kept.messages += rows.messages
    kept.commits += rows.commits
    kept.otherRows += rows.otherRows
  }
  return kept
}
