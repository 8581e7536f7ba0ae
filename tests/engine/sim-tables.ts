import { Members } from '@catbird/shard-worker/conversation/members'
import type { ConvoState } from '@catbird/shard-worker/conversation/state'
import type { Answer } from '@catbird/shared/commands'
import type { Tracking } from '@catbird/shared/events'
import type { SimTransaction } from './sim-transaction.ts'

/** Columns as the statement is given them; absent stands for null. */
export type SimHead = {
  convo_id: string
  expected_version: number
  cipher_suite: string
  creator: string
  tracking: Tracking
  epoch: number
  seq: number
  version: number
  log_hash: string
  last_commit_seq?: number
  last_commit_epoch?: number
  last_commit_sha256?: string
  last_at: string
  last_message_at?: string
}

export type SimLogRow = {
  convo_id: string
  n: number
  seq?: number
  kind: string
  epoch: number
  sender: string
  /** Base64. */
  bytes?: string
  entry_id: string
  message_id?: string
  content_hash?: string
  embed_type?: string
  added?: string[]
  removed?: string[]
  log_hash?: string
  created_at: string
  /** Logical time of the step that made it visible. */
  committedAt: number
}

export type SimInterval = {
  convo_id: string
  did: string
  joined_n: number
  joined_index: number
  from_seq: number
  to_seq?: number
  left_n?: number
}

export type SimWelcome = {
  convo_id: string
  did: string
  n: number
  key_package_hash: string
  entry_id: string
  withdrawn_n?: number
}

export type SimKeyPackage = {
  did: string
  hash: string
  ref: string
  lastResort: boolean
  consumedBy: string | null
  holder?: SimTransaction
}

export type SimRecord = {
  convo_id: string
  caller: string
  method: string
  key: string
  content_hash: string
  answer: Answer
}

export type SimToken = { convo_id: string; hash: string }

/** A conversation's rows in all tables, and who holds its head row or is inserting it. */
export class SimConvo {
  head: SimHead | undefined
  readonly log: SimLogRow[] = []
  readonly messages = new Map<string, SimLogRow>()
  readonly commits = new Map<number, SimLogRow>()
  readonly seqs = new Set<number>()
  intervals: SimInterval[] = []
  readonly welcomes: SimWelcome[] = []
  holder: SimTransaction | undefined
  inserter: SimTransaction | undefined

  get activeMembers(): string[] {
    return this.intervals
      .filter(({ left_n }) => left_n === undefined)
      .sort((a, b) => a.joined_n - b.joined_n || a.joined_index - b.joined_index)
      .map(({ did }) => did)
  }

  get state(): ConvoState | undefined {
    const { head } = this
    if (!head) return undefined
    return {
      convoId: head.convo_id,
      cipherSuite: head.cipher_suite,
      creator: head.creator,
      tracking: head.tracking,
      epoch: head.epoch,
      seq: head.seq,
      version: head.version,
      logHash: head.log_hash,
      lastAtMs: Date.parse(head.last_at),
      lastMessageAtMs: head.last_message_at === undefined ? undefined : Date.parse(head.last_message_at),
      lastCommit:
        head.last_commit_sha256 === undefined
          ? undefined
          : { seq: head.last_commit_seq!, epoch: head.last_commit_epoch!, sha256: head.last_commit_sha256 },
      members: new Members(this.activeMembers),
      left: undefined,
    }
  }
}

export function recordKey(record: { caller: string; method: string; key: string }): string {
  return `${record.caller} ${record.method} ${record.key}`
}
