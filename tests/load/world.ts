import { randomBytes } from 'node:crypto'
import type { Account } from './accounts.ts'
import { FrameWriter, GROUP_ID_BYTES } from './frame-writer.ts'
import type { LoadClient } from './load-client.ts'

const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'
/** DIDs that one request may name. */
const MAX_INITIAL = 100
const MAX_ADDED = 50
/** Conversations that are created at once before the load begins. */
const AT_ONCE = 32

export type WorldOptions = { conversations: number; members: number }

/** A conversation, as far as the generator knows it. */
export class LoadedConvo {
  readonly convoId: string
  readonly groupId: Uint8Array
  /** The creator first. */
  readonly members: readonly Account[]
  epoch = 0
  /** Of the newest entry that an answer told of. */
  seq = 0
  /** One of them wins, so there is at most one unless all conversations are busy. */
  commitsUnderWay = 0
  #turn = 0

  constructor(members: readonly Account[]) {
    this.groupId = randomBytes(GROUP_ID_BYTES)
    this.convoId = Buffer.from(this.groupId).toString('hex')
    this.members = members
  }

  /** Members in turn, so that no one's limit is used up before the others'. */
  nextMember(): Account {
    return this.members[this.#turn++ % this.members.length]!
  }

  reached(epoch: number): void {
    this.epoch = Math.max(this.epoch, epoch)
  }

  stored(seq: number): void {
    this.seq = Math.max(this.seq, seq)
  }
}

/** The conversations that are loaded, and who is in them. */
export class World {
  readonly convos: LoadedConvo[] = []
  readonly frames = new FrameWriter()
  readonly #accounts: readonly Account[]
  readonly #members: number
  #nextAccount = 0
  #nextConvo = 0

  private constructor(accounts: readonly Account[], members: number) {
    this.#accounts = accounts
    this.#members = Math.min(members, accounts.length)
  }

  /** Creates the conversations. Throws when the server refuses one, with its answer. */
  static async create(
    client: LoadClient,
    accounts: readonly Account[],
    { conversations, members }: WorldOptions,
  ): Promise<World> {
    const world = new World(accounts, members)
    let left = conversations
    const creator = async (): Promise<void> => {
      while (left-- > 0) await world.#create(client)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, creator))
    return world
  }

  /** A conversation that nobody knows yet; accounts take turns in being its members. */
  newConvo(): LoadedConvo {
    const members = Array.from({ length: this.#members }, (_, i) => this.#account(this.#nextAccount + i))
    this.#nextAccount += this.#members
    return new LoadedConvo(members)
  }

  creationOf({ convoId, members }: LoadedConvo): string {
    const initialMembers = members.slice(1, 1 + MAX_INITIAL).map(({ did }) => did)
    return JSON.stringify({ groupId: convoId, cipherSuite: SUITE, initialMembers, epoch: 0 })
  }

  nextConvo(): LoadedConvo {
    return this.convos[this.#nextConvo++ % this.convos.length]!
  }

  /** One without a commit under way, if there is any. */
  nextQuietConvo(): LoadedConvo {
    for (let tried = 0; tried < this.convos.length; tried++) {
      const convo = this.nextConvo()
      if (convo.commitsUnderWay === 0) return convo
    }
    return this.nextConvo()
  }

  /** Base64 of a new frame, and the frame itself until the next one of its kind. */
  frame(kind: 'commit' | 'message', { groupId, epoch }: LoadedConvo) {
    const bytes = this.frames.write(kind, groupId, epoch)
    return { bytes, base64: Buffer.from(bytes.buffer).toString('base64') }
  }

  async #create(client: LoadClient): Promise<void> {
    const convo = this.newConvo()
    await this.#post(client, 'createConvo', convo.members[0]!, this.creationOf(convo))
    const others = convo.members.slice(1 + MAX_INITIAL)
    for (let from = 0; from < others.length; from += MAX_ADDED) {
      const didList = others.slice(from, from + MAX_ADDED).map(({ did }) => did)
      const commit = { $bytes: this.frame('commit', convo).base64 }
      // In turn, of those who are in it already: each may change the members of one conversation a few times a minute.
      const member = convo.members[(from / MAX_ADDED) % MAX_INITIAL]!
      await this.#post(
        client,
        'addMembers',
        member,
        JSON.stringify({ convoId: convo.convoId, didList, commit }),
      )
      convo.reached(convo.epoch + 1)
    }
    this.convos.push(convo)
  }

  async #post(client: LoadClient, method: string, account: Account, body: string): Promise<void> {
    const answer = await client.post(method, account.authorization, body)
    if (answer.status === 200) return
    if (answer.status === undefined)
      throw new Error(`${client.url} does not answer ${method}: ${answer.name}`)
    throw new SetupRefused(method, answer.status, answer.body)
  }

  #account(index: number): Account {
    return this.#accounts[index % this.#accounts.length]!
  }
}

/** The server did not let the conversations be made that were to be loaded. */
export class SetupRefused extends Error {
  readonly method: string
  readonly body: Record<string, unknown>

  constructor(method: string, status: number, body: Record<string, unknown>) {
    super(`${method} answered ${status} ${body.error}: ${body.message}`)
    this.method = method
    this.body = body
  }
}
