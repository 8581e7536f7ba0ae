import type { LogEvent, Tracking } from '@catbird/shared/events'
import { chainNext, chainStart } from './log-chain.ts'
import { Members } from './members.ts'

/** The commit that ended the epoch before `epoch`. */
export type CommitRef = { seq: number; epoch: number; sha256: string }

/** All that decisions about a conversation rest on, and no more: an idle actor keeps one of these in memory. */
export type ConvoState = {
  readonly convoId: string
  readonly cipherSuite: string
  /** DID of the present holder of the role. */
  readonly creator: string
  readonly tracking: Tracking
  readonly epoch: number
  readonly seq: number
  /** Number of log rows; every write is conditional on it. */
  readonly version: number
  /** Lower-case hex. */
  readonly logHash: string
  /** Unix ms of the newest row. */
  readonly lastAtMs: number
  readonly lastMessageAtMs?: number
  readonly lastCommit?: CommitRef
  readonly members: Members
  /** Who left since the state was read: the facts of commands already on their way cannot know it yet. */
  readonly left?: readonly string[]
}

/** A log row as it will be stored: the event, its place, and for an entry its seq and link of the chain. */
export type LogRow = {
  n: number
  event: LogEvent
  /** The epoch that an entry bears; that of the conversation on other rows. */
  epoch: number
  atMs: number
  seq?: number
  logHash?: string
}

/** The only transition. `state` is null exactly for the event `created`. */
export function evolve(
  convoId: string,
  state: ConvoState | null,
  event: LogEvent,
  atMs: number,
): { state: ConvoState; row: LogRow } {
  if (event.kind === 'created') return create(convoId, event, atMs)
  if (state === null) throw new Error(`event ${event.kind} on a conversation that does not exist`)
  const n = state.version + 1
  const next = { ...state, version: n, lastAtMs: atMs }
  switch (event.kind) {
    case 'joined':
      next.members = state.members.with(event.added)
      return { state: next, row: { n, event, epoch: state.epoch, atMs } }
    case 'welcome':
      return { state: next, row: { n, event, epoch: state.epoch, atMs } }
    case 'left':
      removeMembers(next, event.removed)
      return { state: next, row: { n, event, epoch: state.epoch, atMs } }
    case 'app':
    case 'commit':
      return addEntry(state, next, event)
  }
}

type Draft = { -readonly [K in keyof ConvoState]: ConvoState[K] }

function create(
  convoId: string,
  event: Extract<LogEvent, { kind: 'created' }>,
  atMs: number,
): { state: ConvoState; row: LogRow } {
  const state: ConvoState = {
    convoId,
    cipherSuite: event.cipherSuite,
    creator: event.sender,
    tracking: event.tracking,
    epoch: event.epoch,
    seq: 0,
    version: 1,
    logHash: chainStart(convoId),
    lastAtMs: atMs,
    lastMessageAtMs: undefined,
    lastCommit: undefined,
    members: new Members([event.sender]),
    left: undefined,
  }
  return { state, row: { n: 1, event, epoch: event.epoch, atMs } }
}

function addEntry(
  state: ConvoState,
  next: Draft,
  event: Extract<LogEvent, { kind: 'app' | 'commit' }>,
): { state: ConvoState; row: LogRow } {
  next.seq = state.seq + 1
  next.logHash = chainNext(state.logHash, {
    seq: next.seq,
    epoch: event.epoch,
    kind: event.kind,
    sender: event.sender,
    sha256: event.sha256,
  })
  if (event.kind === 'app') next.lastMessageAtMs = next.lastAtMs
  else applyCommit(next, event)
  const row = {
    n: next.version,
    event,
    epoch: event.epoch,
    atMs: next.lastAtMs,
    seq: next.seq,
    logHash: next.logHash,
  }
  return { state: next, row }
}

function applyCommit(next: Draft, event: Extract<LogEvent, { kind: 'commit' }>): void {
  next.epoch = event.epoch
  next.lastCommit = { seq: next.seq, epoch: event.epoch, sha256: event.sha256 }
  if (event.bytes) next.tracking = 'tracked'
  removeMembers(next, event.removed)
  next.members = next.members.with(event.added)
}

function removeMembers(next: Draft, dids: readonly string[]): void {
  if (dids.length === 0) return
  next.members = next.members.without(dids)
  next.left = [...(next.left ?? []), ...dids]
  if (dids.includes(next.creator)) next.creator = next.members.list[0]!
}
