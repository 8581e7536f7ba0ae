/**
 * What happens in a conversation; each event becomes one row of its log. `app` and `commit` are entries: they
 * have a seq and extend the log chain.
 */
export type LogEvent = CreatedEvent | JoinedEvent | AppEvent | CommitEvent | LeftEvent | WelcomeEvent

/**
 * How the epoch came to be known. `untracked`: created without Welcome and without epoch; `provisional`: with a
 * Welcome, without epoch. In both the first commit sets the base. `tracked`: every commit must build on `epoch`.
 */
export type Tracking = 'untracked' | 'provisional' | 'tracked'

export type CreatedEvent = {
  kind: 'created'
  sender: string
  cipherSuite: string
  tracking: Tracking
  epoch: number
  name?: string
  description?: string
}

/** Members listed at creation. */
export type JoinedEvent = { kind: 'joined'; sender: string; added: string[] }

export type AppEvent = {
  kind: 'app'
  sender: string
  bytes: Uint8Array
  sha256: string
  /** The epoch that the message was encrypted in. */
  epoch: number
  messageId: string
  contentHash?: string
  embedType?: string
  embedUri?: string
  expiresAtMs: number
}

/** `bytes` absent: an add or removal of an untracked conversation. `epoch` is the one that it creates. */
export type CommitEvent = {
  kind: 'commit'
  sender: string
  bytes?: Uint8Array
  sha256: string
  epoch: number
  messageId: string
  added: string[]
  removed: string[]
}

export type LeftEvent = { kind: 'left'; sender: string; removed: string[] }

export type WelcomeRecipient = { did: string; keyPackageHash?: string; keyPackageRef?: string }

export type WelcomeEvent = {
  kind: 'welcome'
  sender: string
  bytes: Uint8Array
  recipients: WelcomeRecipient[]
}
