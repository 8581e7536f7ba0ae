import { sha256Hex } from '@catbird/shared/bytes'
import type {
  Command,
  CommitInput,
  CreateConvoCommand,
  KeyPackageName,
  SendMessageCommand,
  WelcomeInput,
} from '@catbird/shared/commands'
import type { Random } from './random.ts'
import type { SimDatabase } from './sim-database.ts'
import type { SimConvo, SimKeyPackage } from './sim-tables.ts'
import { POISON } from './sim-transaction.ts'

const CONVOS = ['0a', '0b', '0c']
const DIDS = ['alice', 'bob', 'carol', 'dave', 'erin'].map((name) => `did:plc:${name}`)
const STRANGERS = ['did:plc:mallory', 'did:plc:trent']
const DEADLINE_MS = 120_000

/** Packages that the members have published: two for one use and one last-resort one each. */
export function publishedKeyPackages(): SimKeyPackage[] {
  return DIDS.flatMap((did) =>
    ['first', 'second', 'last'].map((name) => {
      const base = { did, hash: `hash-${name}`, ref: `ref-${name}` }
      return { ...base, lastResort: name === 'last', consumedBy: null }
    }),
  )
}

/** Draws commands as clients would send them that mostly, but not always, know what the conversation is like. */
export class CommandMaker {
  readonly #random: Random
  readonly #database: SimDatabase
  readonly #nowMs: () => number
  /** Commands with an idempotency key or message id, to be repeated. */
  readonly #repeatable: Command[] = []
  #count = 0

  constructor(random: Random, database: SimDatabase, nowMs: () => number) {
    this.#random = random
    this.#database = database
    this.#nowMs = nowMs
  }

  /** One command, or several that are sent at the same moment. */
  next(): Command[] {
    const random = this.#random
    if (this.#repeatable.length > 0 && random.chance(0.15))
      return [this.#repeat(random.pick(this.#repeatable))]
    const command = this.#new()
    if (command.tokenUse && random.chance(0.3)) return [command, this.#replayed(command)]
    if (command.idempotency || ('message' in command && command.message)) {
      this.#repeatable.push(command)
      if (this.#repeatable.length > 12) this.#repeatable.shift()
      if (random.chance(0.25)) return [command, ...random.some([1, 2], 0.6).map(() => this.#repeat(command))]
    }
    return [command]
  }

  /** The same again, or under the same name something else. */
  #repeat(command: Command): Command {
    const again = { ...command, ...this.#fresh() }
    if (this.#random.chance(0.8)) return again
    const other = this.#random.chance(0.5) ? this.#random.pick(CONVOS) : command.convoId
    return this.#renamed({ ...again, convoId: other }, this.#bytes())
  }

  /** The very same request, perhaps for another conversation: only one of the two may take effect. */
  #replayed(command: Command): Command {
    const convoId = this.#random.chance(0.2) ? this.#random.pick(CONVOS) : command.convoId
    return { ...command, convoId, requestId: `#${this.#count++}` }
  }

  #renamed(command: Command, bytes: Uint8Array): Command {
    const contentHash = sha256Hex(bytes)
    if (command.idempotency) command.idempotency = { ...command.idempotency, contentHash }
    if (command.type === 'sendMessage') {
      const { message } = command
      return { ...command, bytes, sha256: sha256Hex(bytes), message: message && { ...message, contentHash } }
    }
    if ('commit' in command && command.commit) {
      return { ...command, commit: { ...command.commit, bytes, sha256: sha256Hex(bytes) } }
    }
    return command
  }

  #new(): Command {
    const random = this.#random
    const convoId = random.pick(CONVOS)
    const convo = this.#database.convo(convoId)
    if (!convo.head && random.chance(0.5)) return this.#create(convoId)
    const type = random.weighted({ create: 1, add: 33, leave: 19, send: 47 })
    if (type === 'create') return this.#create(convoId)
    if (type === 'add') return this.#add(convoId, convo)
    return type === 'leave' ? this.#leave(convoId, convo) : this.#send(convoId, convo)
  }

  #create(convoId: string): CreateConvoCommand {
    const random = this.#random
    const initialMembers = random.some(DIDS, 0.5)
    const keyPackages = this.#keyPackages(initialMembers)
    const epoch = random.chance(0.4) ? random.int(2) : undefined
    const welcome = random.chance(0.4) ? this.#welcome(keyPackages) : undefined
    const base = { ...this.#base(convoId, random.pick(DIDS)), type: 'createConvo' as const }
    return { ...base, cipherSuite: 'suite', initialMembers, keyPackages, epoch, welcome }
  }

  #add(convoId: string, convo: SimConvo): Command {
    const random = this.#random
    const dids = random.some(random.chance(0.1) ? [...DIDS, ...STRANGERS] : DIDS, 0.3)
    const keyPackages = random.chance(0.4) ? this.#keyPackages(dids) : []
    const commit = random.chance(this.#needsCommit(convo)) ? this.#commit(convo) : undefined
    const welcome = random.chance(0.4) ? this.#welcome(keyPackages) : undefined
    const base = { ...this.#base(convoId, this.#actor(convo)), type: 'addMembers' as const }
    return { ...base, dids, keyPackages, commit, welcome }
  }

  #leave(convoId: string, convo: SimConvo): Command {
    const random = this.#random
    const caller = this.#actor(convo)
    const isSelf = random.chance(0.4)
    const target = isSelf ? caller : random.pick(random.chance(0.05) ? STRANGERS : DIDS)
    const commit = random.chance(isSelf ? 0.1 : this.#needsCommit(convo)) ? this.#commit(convo) : undefined
    const sender = !isSelf && convo.head && random.chance(0.5) ? convo.head.creator : caller
    return { ...this.#base(convoId, sender), type: 'leaveConvo', target, commit }
  }

  #send(convoId: string, convo: SimConvo): SendMessageCommand {
    const random = this.#random
    const bytes = this.#bytes()
    const message = random.chance(0.3)
      ? { id: `m${random.chance(0.2) ? random.int(8) : `x${this.#count}`}`, contentHash: sha256Hex(bytes) }
      : undefined
    const epoch = this.#epoch(convo)
    const embedType = random.chance(0.01) ? POISON : undefined
    const base = { ...this.#base(convoId, this.#actor(convo)), type: 'sendMessage' as const }
    return { ...base, bytes, sha256: sha256Hex(bytes), epoch, message, embedType }
  }

  #base(convoId: string, caller: string) {
    const random = this.#random
    const key = random.chance(0.15) ? `k${random.int(6)}` : `u${this.#count}`
    const idempotency = random.chance(0.3) ? { key, contentHash: `content ${this.#count}` } : undefined
    return { convoId, caller, size: 100, idempotency, ...this.#fresh() }
  }

  #fresh() {
    const isHasty = this.#random.chance(0.02)
    const hash = `t${this.#count}`
    const tokenUse = this.#random.chance(0.4) ? { hash, expiresAtMs: this.#nowMs() + DEADLINE_MS } : undefined
    return {
      requestId: `#${this.#count++}`,
      tokenUse,
      deadlineMs: this.#nowMs() + (isHasty ? 20 : DEADLINE_MS),
    }
  }

  /** Mostly a member. */
  #actor(convo: SimConvo): string {
    const members = convo.activeMembers
    if (members.length > 0 && this.#random.chance(0.85)) return this.#random.pick(members)
    return this.#random.pick(this.#random.chance(0.3) ? STRANGERS : DIDS)
  }

  #needsCommit(convo: SimConvo): number {
    return convo.head?.tracking === 'untracked' ? 0.3 : 0.9
  }

  #commit(convo: SimConvo): CommitInput {
    const bytes = this.#bytes()
    const epoch = this.#random.chance(0.05) ? undefined : this.#epoch(convo)
    return { bytes, sha256: sha256Hex(bytes), epoch }
  }

  /** Mostly the current one. */
  #epoch(convo: SimConvo): number {
    const epoch = convo.head?.epoch ?? 0
    const off = this.#random.weighted({ '0': 75, '-1': 10, '-2': 4, '1': 7, '5': 3, [2 ** 31]: 1 })
    return Math.max(0, epoch + Number(off))
  }

  #keyPackages(dids: string[]): KeyPackageName[] {
    const random = this.#random
    return random.some(dids, 0.5).map((did) => {
      const name = random.weighted({ first: 10, second: 10, last: 5, unknown: 1 })
      return { did, hash: `${random.chance(0.5) ? 'hash' : 'ref'}-${name}` }
    })
  }

  #welcome(keyPackages: KeyPackageName[]): WelcomeInput {
    const newMembers = keyPackages.map(({ hash }) => hash.replace('hash', 'ref'))
    if (this.#random.chance(0.05)) newMembers.push('ref-of-nobody')
    return { bytes: this.#bytes(), newMembers: this.#random.chance(0.8) ? newMembers : undefined }
  }

  /** Content that no other command has. */
  #bytes(): Uint8Array {
    return Buffer.from(`content ${this.#count++}`)
  }
}
