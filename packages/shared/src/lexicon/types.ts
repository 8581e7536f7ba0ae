/**
 * What each method takes, as parsed (bytes decoded, aliases resolved, defaults filled in), and answers, in wire
 * form. Times are RFC 3339 strings, hashes lower-case hex.
 */

/** Bytes in JSON: base64 in the standard alphabet with padding. */
export type WireBytes = { $bytes: string }

export type KeyPackageHash = { did: string; hash: string }
export type ConvoMetadata = { name?: string; description?: string }

export type MemberView = {
  did: string
  joinedAt: string
  leafIndex?: number
  credential?: WireBytes
  role?: 'creator' | 'member'
}

export type ConvoView = {
  id: string
  groupId: string
  creator: string
  members: MemberView[]
  epoch: number
  cipherSuite: string
  createdAt: string
  lastMessageAt?: string
  metadata?: ConvoMetadata
  unreadCount?: number
  lastSeq?: number
}

export type MessageView = {
  id: string
  convoId: string
  sender: string
  ciphertext: WireBytes
  epoch: number
  seq: number
  createdAt: string
  embedType?: string
  embedUri?: string
  messageType?: 'app' | 'commit'
  logHash?: string
}

export type CommitEntry = {
  epoch: number
  sender: string
  commitData: WireBytes
  createdAt: string
  seq?: number
  logHash?: string
}

export type CommitRef = { seq: number; epoch: number; sha256: string }
export type KeyPackageRef = { did: string; keyPackage: string; cipherSuite: string; keyPackageHash?: string }

export type CreateConvoInput = {
  groupId: string
  cipherSuite: string
  initialMembers?: string[]
  welcomeMessage?: Uint8Array<ArrayBuffer>
  keyPackageHashes?: KeyPackageHash[]
  metadata?: ConvoMetadata
  idempotencyKey?: string
  epoch?: number
}

export type AddMembersInput = {
  convoId: string
  didList: string[]
  commit?: Uint8Array<ArrayBuffer>
  welcomeMessage?: Uint8Array<ArrayBuffer>
  keyPackageHashes?: KeyPackageHash[]
  idempotencyKey?: string
  epoch?: number
}

export type LeaveConvoInput = {
  convoId: string
  targetDid?: string
  commit?: Uint8Array<ArrayBuffer>
  idempotencyKey?: string
  epoch?: number
}

/** Answer to addMembers and leaveConvo; `seq` and `logHash` only when the change made an entry. */
export type MembershipChangeOutput = { success: boolean; newEpoch: number; seq?: number; logHash?: string }

export type SendMessageInput = {
  convoId: string
  ciphertext: Uint8Array<ArrayBuffer>
  epoch: number
  senderDid?: string
  idempotencyKey?: string
  msgId?: string
  embedType?: string
  embedUri?: string
}

export type SendMessageOutput = {
  messageId: string
  receivedAt: string
  seq?: number
  epoch?: number
  logHash?: string
}

export type GetMessagesParams = {
  convoId: string
  limit: number
  sinceMessage?: string
  sinceSeq?: number
  cursor?: string
  type: 'app' | 'commit' | 'all'
  markRead: boolean
}

export type GetMessagesOutput = {
  messages: MessageView[]
  cursor?: string
  firstSeq?: number
  lastSeq?: number
}

export type GetCommitsParams = {
  convoId: string
  fromEpoch: number
  toEpoch?: number
  limit: number
  cursor?: string
}

export type GetCommitsOutput = { convoId: string; commits: CommitEntry[]; cursor?: string }

export type GetEpochParams = { convoId: string }
export type GetEpochOutput = {
  convoId: string
  currentEpoch: number
  lastSeq?: number
  logHash?: string
  lastCommit?: CommitRef
}

export type GetConvosParams = { limit: number; cursor?: string }
export type GetConvosOutput = { conversations: ConvoView[]; cursor?: string }

export type PublishKeyPackageInput = {
  keyPackage: Uint8Array<ArrayBuffer>
  cipherSuite: string
  expires?: string
  idempotencyKey?: string
  lastResort?: boolean
}

export type PublishKeyPackageOutput = { keyPackageHash?: string; available?: number }

export type GetKeyPackagesParams = { dids: string[]; cipherSuite: string }
export type GetKeyPackagesOutput = { keyPackages: KeyPackageRef[]; missing?: string[] }

export type GetWelcomeParams = { convoId: string; keyPackageHash?: string }
export type GetWelcomeOutput = { convoId: string; welcome: string; keyPackageHash?: string }

export type ConfirmWelcomeInput = {
  convoId: string
  success: boolean
  errorDetails?: string
  keyPackageHash?: string
}

export type ConfirmWelcomeOutput = { confirmed: boolean }

export type UpdateCursorInput = { convoId: string; cursor: string }
export type UpdateCursorOutput = { success: boolean }

export type SendEphemeralInput = { convoId: string; ciphertext: Uint8Array<ArrayBuffer>; epoch: number }
export type SendEphemeralOutput = { success: boolean }

export type GetSubscriptionTicketInput = { convoId?: string }
export type GetSubscriptionTicketOutput = { ticket: string; expiresAt: string; url: string }

export type StreamParams = { cursor?: string; convoId?: string; ticket?: string }

/** The methods by nsid: procedures have an `input`, queries and streams have `params`. */
export interface Methods {
  'blue.catbird.mls.createConvo': { input: CreateConvoInput; output: ConvoView }
  'blue.catbird.mls.addMembers': { input: AddMembersInput; output: MembershipChangeOutput }
  'blue.catbird.mls.leaveConvo': { input: LeaveConvoInput; output: MembershipChangeOutput }
  'blue.catbird.mls.sendMessage': { input: SendMessageInput; output: SendMessageOutput }
  'blue.catbird.mls.getMessages': { params: GetMessagesParams; output: GetMessagesOutput }
  'blue.catbird.mls.getCommits': { params: GetCommitsParams; output: GetCommitsOutput }
  'blue.catbird.mls.getEpoch': { params: GetEpochParams; output: GetEpochOutput }
  'blue.catbird.mls.getConvos': { params: GetConvosParams; output: GetConvosOutput }
  'blue.catbird.mls.publishKeyPackage': { input: PublishKeyPackageInput; output: PublishKeyPackageOutput }
  'blue.catbird.mls.getKeyPackages': { params: GetKeyPackagesParams; output: GetKeyPackagesOutput }
  'blue.catbird.mls.getWelcome': { params: GetWelcomeParams; output: GetWelcomeOutput }
  'blue.catbird.mls.confirmWelcome': { input: ConfirmWelcomeInput; output: ConfirmWelcomeOutput }
  'blue.catbird.mls.updateCursor': { input: UpdateCursorInput; output: UpdateCursorOutput }
  'blue.catbird.mls.sendEphemeral': { input: SendEphemeralInput; output: SendEphemeralOutput }
  'blue.catbird.mls.getSubscriptionTicket': {
    input: GetSubscriptionTicketInput
    output: GetSubscriptionTicketOutput
  }
  'blue.catbird.mls.streamConvoEvents': { params: StreamParams; output: never }
  'blue.catbird.mls.subscribeConvoEvents': { params: StreamParams; output: never }
}

export type Nsid = keyof Methods
export type ProcedureNsid = { [N in Nsid]: Methods[N] extends { input: unknown } ? N : never }[Nsid]
/** Server-Sent Events and a WebSocket: they go on until one side ends them, and have no output. */
export type StreamNsid = 'blue.catbird.mls.streamConvoEvents' | 'blue.catbird.mls.subscribeConvoEvents'
/** Methods whose answer is one JSON object. */
export type MethodNsid = Exclude<Nsid, StreamNsid>
export type QueryNsid = Exclude<Nsid, ProcedureNsid>
export type Input<N extends ProcedureNsid> = Methods[N] extends { input: infer I } ? I : never
export type Params<N extends QueryNsid> = Methods[N] extends { params: infer P } ? P : never
export type Output<N extends Nsid> = Methods[N]['output']
