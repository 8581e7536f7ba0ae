import { randomUUID } from 'node:crypto'
import type { GetMessagesOutput, MessageView } from '@catbird/shared/lexicon/types'
import type { ClientState, Proposal } from 'ts-mls'
import { type Caller, callUntilAnswered } from './caller.ts'
import { type ErrorBody, wire } from './client.ts'
import { bytesOf, sha256 } from './log-chain.ts'
import type { LogPosition } from './log-position.ts'
import { buildCommit, encrypt, identities, open } from './mls-crypto.ts'

export type Received = { seq: number; sender: string; epoch: number; text: string }

export type Change = {
  method: 'addMembers' | 'leaveConvo'
  input: Record<string, unknown>
  proposals: Proposal[]
}
/** What to commit in this state of the group; nothing when another member has done it meanwhile. */
export type Plan = (state: ClientState) => Change | undefined
/** `refusals` has one EpochMismatch for each time that another commit was first. */
export type CommitOutcome = { refusals: ErrorBody[] }

type Pending = { sha256: string; state: ClientState }

const MAX_ATTEMPTS = 50

/** One device's membership of a conversation: its MLS group, and how far it has read the server's log. */
export class MlsGroup {
  readonly convoId: string
  /** How it reaches the server; may be replaced, as when a connection breaks. */
  caller: Caller
  /** Whether commits go out as PublicMessage instead of PrivateMessage. */
  sendsPublicCommits = false
  #state: ClientState
  readonly #position: LogPosition
  /** A commit that the server may or may not have accepted; it takes effect only when it has. */
  #pending: Pending | undefined
  /** Own messages by the hash of their ciphertext: MLS does not let a sender decrypt what it sent. */
  readonly #sent = new Map<string, string>()

  constructor(caller: Caller, convoId: string, state: ClientState, position: LogPosition) {
    this.caller = caller
    this.convoId = convoId
    this.#state = state
    this.#position = position
  }

  get epoch(): number {
    return Number(this.#state.groupContext.epoch)
  }

  /** Hex. Equal for two members only if they agree on all that ever happened in the group (RFC 9420, 8.7). */
  get epochAuthenticator(): string {
    return Buffer.from(this.#state.keySchedule.epochAuthenticator).toString('hex')
  }

  get logHash(): string {
    return this.#position.logHash
  }

  get seq(): number {
    return this.#position.seq
  }

  get isRemoved(): boolean {
    return this.#state.groupActiveState.kind === 'removedFromGroup'
  }

  /** Credential identities, in the order of the leaves. */
  get members(): string[] {
    return identities(this.#state).filter((identity) => identity !== undefined)
  }

  /** Commits what `plan` says; when another commit is first, catches up, plans anew and tries again. */
  async commit(plan: Plan): Promise<CommitOutcome> {
    const refusals: ErrorBody[] = []
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const change = plan(this.#state)
      if (!change) return { refusals }
      const built = await buildCommit(this.#state, change.proposals, this.sendsPublicCommits)
      const pending = { sha256: sha256(built.commit), state: built.state }
      this.#pending = pending
      const { status, body } = await callUntilAnswered(this.caller, change.method, {
        ...change.input,
        convoId: this.convoId,
        commit: wire(built.commit),
        ...(built.welcome && { welcomeMessage: Buffer.from(built.welcome).toString('base64') }),
        idempotencyKey: randomUUID(),
      })
      if (status === 200) {
        this.#merge(pending)
        this.#position.promise(body)
        return { refusals }
      }
      if (body.error !== 'EpochMismatch') {
        this.#pending = undefined
        throw new Error(`${change.method} answered ${status} ${JSON.stringify(body)}`)
      }
      await this.catchUp()
      // The reply to an earlier try may have been lost: then the winner is this very commit.
      const winner = body.winningCommit as { sha256: string } | undefined
      if (winner?.sha256 === pending.sha256) return { refusals }
      refusals.push(body)
    }
    throw new Error(`no commit won in ${MAX_ATTEMPTS} attempts`)
  }

  /** Encrypts and sends; in a new epoch anew. */
  async send(text: string): Promise<{ refusals: ErrorBody[] }> {
    const refusals: ErrorBody[] = []
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { state, ciphertext } = await encrypt(this.#state, text)
      // Kept even when the message is refused: no key encrypts two texts.
      this.#state = state
      this.#sent.set(sha256(ciphertext), text)
      const { status, body } = await callUntilAnswered(this.caller, 'sendMessage', {
        convoId: this.convoId,
        ciphertext: wire(ciphertext),
        epoch: this.epoch,
        idempotencyKey: randomUUID(),
      })
      if (status === 200) {
        this.#position.promise(body)
        return { refusals }
      }
      if (body.error !== 'EpochMismatch')
        throw new Error(`sendMessage answered ${status} ${JSON.stringify(body)}`)
      refusals.push(body)
      await this.catchUp()
    }
    throw new Error(`no message was accepted in ${MAX_ATTEMPTS} attempts`)
  }

  /** Applies the commits since the group's own epoch, without the messages between them. */
  async catchUp(): Promise<void> {
    const { convoId, epoch } = this
    let cursor: string | undefined
    do {
      const page = await this.caller.ok('getCommits', {
        convoId,
        fromEpoch: epoch + 1,
        ...(cursor && { cursor }),
      })
      for (const { epoch: created, commitData, seq, logHash } of page.commits) {
        this.#position.promise({ seq, logHash })
        await this.#applyCommit(created, bytesOf(commitData))
      }
      cursor = page.cursor
    } while (cursor)
  }

  /** Reads the log from where this member stands: applies commits, decrypts messages, checks the hash chain. */
  async sync(): Promise<Received[]> {
    const { convoId } = this
    const received: Received[] = []
    let from: { sinceSeq: number } | { cursor: string } | undefined = { sinceSeq: this.seq }
    while (from) {
      const page: GetMessagesOutput = await this.caller.ok('getMessages', { convoId, limit: 100, ...from })
      for (const message of page.messages) {
        const text = await this.#read(message)
        if (text !== undefined) {
          received.push({ seq: message.seq, sender: message.sender, epoch: message.epoch, text })
        }
      }
      from = page.cursor === undefined ? undefined : { cursor: page.cursor }
    }
    return received
  }

  /** Takes an entry as it comes over a stream; undefined for a commit, and for what was read already. */
  async receive(message: MessageView): Promise<Received | undefined> {
    const { seq, sender, epoch } = message
    if (seq <= this.seq) return undefined
    const text = await this.#read(message)
    return text === undefined ? undefined : { seq, sender, epoch, text }
  }

  /** Decrypts a message with this member's keys, wherever it got the bytes; throws when they do not fit. */
  async decrypt(ciphertext: Uint8Array): Promise<string | undefined> {
    return (await open(this.#state, ciphertext)).plaintext
  }

  async #read(message: MessageView): Promise<string | undefined> {
    this.#position.read(message)
    const bytes = bytesOf(message.ciphertext)
    if (message.messageType === 'commit') {
      await this.#applyCommit(message.epoch, bytes)
      return undefined
    }
    const own = this.#sent.get(sha256(bytes))
    if (own !== undefined) return own
    const { state, plaintext } = await open(this.#state, bytes)
    this.#state = state
    return plaintext
  }

  async #applyCommit(created: number, bytes: Uint8Array): Promise<void> {
    if (created <= this.epoch) return
    if (created > this.epoch + 1) throw new Error(`commit to epoch ${created} came in epoch ${this.epoch}`)
    if (this.#pending?.sha256 === sha256(bytes)) return this.#merge(this.#pending)
    const { state } = await open(this.#state, bytes)
    this.#state = state
    this.#pending = undefined
  }

  #merge({ state }: Pending): void {
    this.#state = state
    this.#pending = undefined
  }
}
