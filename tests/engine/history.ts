import type { Command, Reply } from '@catbird/shared/commands'

/** A request and its reply. Times are of any one clock that also the rows' `committedAt` is of, when they have it. */
export type Exchange = {
  command: Command
  invokedAt: number
  /** Absent, like `reply`, when no reply came. */
  repliedAt?: number
  reply?: Reply
}

/** A row of `log`. */
export type StoredRow = {
  convoId: string
  n: number
  seq?: number
  kind: string
  epoch: number
  sender: string
  bytes?: Uint8Array
  entryId: string
  messageId?: string
  added?: string[]
  removed?: string[]
  logHash?: string
  /** As the database has it. */
  createdAtMs: number
  /** When the row became visible, where that is known. */
  committedAt?: number
}

export type StoredHead = {
  convoId: string
  creator: string
  epoch: number
  seq: number
  version: number
  logHash: string
}

export type StoredInterval = {
  convoId: string
  did: string
  joinedN: number
  joinedIndex: number
  fromSeq: number
  toSeq?: number
  leftN?: number
}

export type StoredWelcome = { convoId: string; did: string; n: number; keyPackageHash: string }
export type StoredKeyPackage = {
  did: string
  hash: string
  ref: string | null
  lastResort: boolean
  consumedBy: string | null
}
export type StoredRecord = { caller: string; method: string; key: string; contentHash: string }

/** All that the database says in the end. */
export type StoredDatabase = {
  rows: StoredRow[]
  heads: StoredHead[]
  intervals: StoredInterval[]
  welcomes: StoredWelcome[]
  keyPackages: StoredKeyPackage[]
  records: StoredRecord[]
  /** Hashes of used tokens. */
  tokens: string[]
}
