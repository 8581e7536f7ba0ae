import type { Random } from '../../engine/random.ts'
import { commitFor, messageFor, newGroupId, SUITE } from '../convo.ts'
import { type Clients, callUntilDone } from './call-until-done.ts'
import type { StoredConvo } from './stored-truth.ts'

/** What those who write in conversations share. */
export type WriterContext = {
  clients: Clients
  /** All who may become members. */
  dids: readonly string[]
  random: Random
  /** For somebody's device, base64. */
  welcome: string
  /** Ids of all messages that were acknowledged. */
  acknowledged: string[]
}

/** How often each thing is done. */
const STEPS = { messages: 30, update: 1, updateAmongMessages: 1, add: 2, remove: 1, leave: 1 }
const MIN_MEMBERS = 5
const MAX_MEMBERS = 11
const MAX_BURST = 16
const MESSAGE_BYTES = 120
/** Streams read bytes of more than 8 KiB apart. */
const LARGE_BYTES = 9000

/** Does at random what members do in one conversation; only messages come at the same time as something else. */
export class ConvoWriter {
  readonly #context: WriterContext
  readonly #convoId: string
  readonly #creator: string
  readonly #members: Set<string>
  #epoch: number

  constructor(context: WriterContext, { convoId, creator, epoch, members }: StoredConvo) {
    this.#context = context
    this.#convoId = convoId
    this.#creator = creator
    this.#epoch = epoch
    this.#members = new Set(members)
  }

  static async create(context: WriterContext): Promise<ConvoWriter> {
    const { random, dids, clients, welcome } = context
    const members = [...new Set(Array.from({ length: MIN_MEMBERS }, () => random.pick(dids)))]
    const [creator, ...initialMembers] = members as [string, ...string[]]
    const convoId = newGroupId()
    await callUntilDone(clients, creator, 'createConvo', {
      groupId: convoId,
      cipherSuite: SUITE,
      initialMembers,
      epoch: 0,
      ...(random.chance(0.5) && { welcomeMessage: welcome }),
    })
    return new ConvoWriter(context, { convoId, creator, epoch: 0, members })
  }

  async step(): Promise<void> {
    switch (this.#context.random.weighted(STEPS)) {
      case 'messages':
        return this.#sendBurst()
      case 'update':
        return this.#add([])
      case 'updateAmongMessages':
        await Promise.all([this.#sendBurst(), this.#add([])])
        return
      case 'add':
        return this.#add(this.#strangers())
      case 'remove':
        return this.#end('remove')
      case 'leave':
        return this.#end('leave')
    }
  }

  /** Mostly at one server: two that write in one conversation lose each other's guards. */
  async #sendBurst(): Promise<void> {
    const { random, clients } = this.#context
    const members = [...this.#members]
    const url = random.chance(0.8) ? random.pick(clients.urls) : undefined
    const sends = Array.from({ length: 1 + random.int(MAX_BURST) }, () =>
      this.#send(random.pick(members), url),
    )
    await Promise.all(sends)
  }

  async #send(sender: string, url: string | undefined): Promise<void> {
    const { clients, random, acknowledged } = this.#context
    const size = random.chance(0.01) ? LARGE_BYTES : MESSAGE_BYTES
    const epoch = this.#epoch
    const ciphertext = messageFor(this.#convoId, epoch, size)
    const input = { convoId: this.#convoId, epoch, ciphertext }
    const { messageId } = await callUntilDone(clients, sender, 'sendMessage', input, url)
    acknowledged.push(messageId)
  }

  /** Commits, and adds members who may have been some before. */
  async #add(didList: string[]): Promise<void> {
    const { clients, random, welcome } = this.#context
    const { newEpoch } = await callUntilDone(clients, this.#creator, 'addMembers', {
      convoId: this.#convoId,
      didList,
      commit: commitFor(this.#convoId, this.#epoch),
      ...(didList.length > 0 && random.chance(0.5) && { welcomeMessage: welcome }),
    })
    this.#epoch = newEpoch
    for (const did of didList) this.#members.add(did)
  }

  #strangers(): string[] {
    const { dids, random } = this.#context
    const room = MAX_MEMBERS - this.#members.size
    const others = dids.filter((did) => !this.#members.has(did))
    return random.some(others, 0.15).slice(0, Math.max(0, room))
  }

  async #end(how: 'remove' | 'leave'): Promise<void> {
    const { clients, random } = this.#context
    if (this.#members.size < MIN_MEMBERS) return this.#add(this.#strangers())
    const convoId = this.#convoId
    const targetDid = random.pick([...this.#members].filter((did) => did !== this.#creator))
    this.#members.delete(targetDid)
    const { newEpoch } =
      how === 'leave'
        ? await callUntilDone(clients, targetDid, 'leaveConvo', { convoId })
        : await callUntilDone(clients, this.#creator, 'leaveConvo', {
            convoId,
            targetDid,
            commit: commitFor(convoId, this.#epoch),
          })
    this.#epoch = newEpoch
  }
}
