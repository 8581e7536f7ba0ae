import { timestamp } from '@catbird/shared/clock'
import type { ConvoFacts } from './convo-facts.ts'
import type { Kept } from './count-erasure.ts'
import type { Erasure } from './erase.ts'

/** Label, number or text, and what to know about it. */
type Line = [label: string, value: number | string, note?: string]

/** @param showDids names the members; otherwise no DID is told */
export function describeConvo(convoId: string, facts: ConvoFacts, showDids: boolean): string {
  const { creator, members, entries, oldestSeq } = facts
  const presence = members.includes(creator) ? 'present' : 'absent'
  const lines: Line[] = [
    ['epoch', facts.epoch],
    ['seq', facts.seq],
    ['version', facts.version],
    ['tracking', facts.tracking],
    ['creator', presence, showDids ? creator : undefined],
    ['members', members.length],
    ['entries kept', entries],
    ['oldest seq kept', oldestSeq ?? 'none'],
    ['last activity', timestamp(facts.lastAt.getTime())],
    ['open Welcomes', facts.openWelcomes],
  ]
  const dids = showDids ? members.map((did) => `\n    ${did}`).join('') : ''
  return `conversation ${convoId}\n${table(lines)}${dids && `\n  members, longest-standing first:${dids}`}`
}

export function describeErasure(did: string, erasure: Erasure, kept: Kept, isDone: boolean): string {
  const head = isDone ? `Erased of ${did}:` : `Would erase of ${did}; nothing is changed without --yes:`
  const gone: Line[] = [
    ['key packages', erasure.keyPackages],
    ["claims of others' key packages", erasure.claims],
    ['idempotency records', erasure.records],
    ['conversations left', erasure.left],
    ['conversations deleted', erasure.deleted, 'it was the only member'],
    ['read positions', erasure.readPositions],
    ['Welcomes', erasure.welcomes],
  ]
  const stays: Line[] = [
    ['messages', kept.messages, 'deleted when they expire'],
    ['commits', kept.commits, 'others need them to follow the group'],
    ['other log rows', kept.otherRows],
    ['past memberships', kept.intervals, 'who could read what'],
  ]
  const where = kept.convos === 1 ? '1 conversation' : `${kept.convos} conversations`
  const because = `Stays in ${where} of others, whose log chain and groups rest on it:`
  const notBlocked = `This does not block: a client of ${did} can come back. To keep it out: npm run admin -- block ${did}`
  return [head, table(gone), because, table(stays), notBlocked].join('\n')
}

function table(lines: Line[]): string {
  const width = Math.max(...lines.map(([label]) => label.length))
  return lines
    .map(([label, value, note]) => `  ${label.padEnd(width)}  ${value}${note ? `  (${note})` : ''}`)
    .join('\n')
}
