import type { ErrorName, Refusal } from './errors.ts'

/**
 * Commands change a conversation. They are plain data: the front posts them to a shard, or hands them to the
 * direct executor; `decide` of either reads nothing else but the conversation's state and facts.
 */
export type Command = CreateConvoCommand | AddMembersCommand | LeaveConvoCommand | SendMessageCommand
export type CommandType = Command['type']

/** A token that is good for one procedure: whose hash is stored has been used. */
export type TokenUse = {
  /** Keyed hash of the token's issuer and id: 16 bytes, lower-case hex. */
  hash: string
  /** Unix ms; from then on the token is refused anyway. */
  expiresAtMs: number
}

type CommandBase = {
  convoId: string
  /** DID that the token proved. */
  caller: string
  requestId: string
  /** Unix ms; past it the command is dropped unexecuted. */
  deadlineMs: number
  /** Bytes that waiting for this command costs. */
  size: number
  idempotency?: { key: string; contentHash: string }
  tokenUse?: TokenUse
}

/** A commit as it came, and the epoch that it ends by its own header; no epoch when the bytes are opaque. */
export type CommitInput = { bytes: Uint8Array; sha256: string; epoch?: number }

/** A Welcome as it came; `newMembers` are its KeyPackageRefs (lower-case hex) when it could be read. */
export type WelcomeInput = { bytes: Uint8Array; newMembers?: string[] }

/** Names a published key package: `hash` is the SHA-256 of its bytes or its KeyPackageRef, lower-case hex. */
export type KeyPackageName = { did: string; hash: string }

export type CreateConvoCommand = CommandBase & {
  type: 'createConvo'
  cipherSuite: string
  initialMembers: string[]
  welcome?: WelcomeInput
  keyPackages: KeyPackageName[]
  name?: string
  description?: string
  epoch?: number
}

export type AddMembersCommand = CommandBase & {
  type: 'addMembers'
  dids: string[]
  commit?: CommitInput
  welcome?: WelcomeInput
  keyPackages: KeyPackageName[]
}

export type LeaveConvoCommand = CommandBase & {
  type: 'leaveConvo'
  target: string
  commit?: CommitInput
}

export type SendMessageCommand = CommandBase & {
  type: 'sendMessage'
  bytes: Uint8Array
  sha256: string
  epoch: number
  /** Chosen by the client: then the entry keeps the content hash, so that a repeat is recognised. */
  message?: { id: string; contentHash: string }
  embedType?: string
  embedUri?: string
}

/** The body of an accepted command's reply, in wire form. */
export type Answer = Record<string, unknown>

/** What a command comes back with. Refusals are data: error subclasses would lose their name across threads. */
export type Reply = { ok: true; answer: Answer } | { ok: false; refusal: Refusal }

export function refused(error: ErrorName, message: string, details?: Record<string, unknown>): Reply {
  return { ok: false, refusal: details ? { error, message, details } : { error, message } }
}
