import type { MessageView } from '@catbird/shared/lexicon/types'
import { chainNext, chainStart } from './log-chain.ts'

type Anchor = { seq: number; logHash: string }

/**
 * How far a member has read a conversation's log. It trusts the server with nothing but the hash of the entry that
 * it begins at: every later one must follow without a hole and have the hash that the member computes itself.
 */
export class LogPosition {
  #seq: number
  #logHash: string
  /** Hashes that the server gave for entries not read yet; it must not change its mind. */
  readonly #promised = new Map<number, string>()

  private constructor({ seq, logHash }: Anchor) {
    this.#seq = seq
    this.#logHash = logHash
  }

  /** Before the first entry, where the creator begins. */
  static beforeFirst(convoId: string): LogPosition {
    return new LogPosition({ seq: 0, logHash: chainStart(convoId) })
  }

  /** At the commit that added the reader; what was before is not for it, so that it must take this hash as it is. */
  static at(anchor: Anchor): LogPosition {
    return new LogPosition(anchor)
  }

  get seq(): number {
    return this.#seq
  }

  get logHash(): string {
    return this.#logHash
  }

  /** Remembers what a write reply or getCommits says of an entry, until that entry is read. */
  promise({ seq, logHash }: { seq?: number; logHash?: string }): void {
    if (seq === undefined || logHash === undefined) throw new Error('the server left out seq or logHash')
    if (seq > this.#seq) this.#promised.set(seq, logHash)
  }

  /** Moves on to the next entry, or throws when it is not what the chain says. */
  read(message: MessageView): void {
    const { seq } = message
    if (seq !== this.#seq + 1) throw new Error(`entry ${seq} came after entry ${this.#seq}`)
    const logHash = chainNext(this.#logHash, message)
    const promised = this.#promised.get(seq) ?? logHash
    if (message.logHash !== logHash || promised !== logHash) {
      throw new Error(`entry ${seq}: computed ${logHash}, got ${message.logHash}, was promised ${promised}`)
    }
    this.#promised.delete(seq)
    this.#seq = seq
    this.#logHash = logHash
  }
}
