import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { hex } from '@catbird/shared/bytes'
import type { Clock } from '@catbird/shared/clock'
import type { TokenUse } from '@catbird/shared/commands'
import { RefusalError } from '@catbird/shared/errors'
import { AuthError } from './auth-error.ts'

const HASH_BYTES = 16
/** 80 MB when full. */
const MAX_TOKENS = 2 ** 20

export type ReplayMemoryOptions = {
  /** 32 bytes, the same in every process of one database: the hashes meet there. */
  key: Uint8Array
  clock: Clock
  maxTokens?: number
}

/**
 * Remembers which tokens this process has seen used, until they expire. Nothing is forgotten early: when it is full,
 * new tokens are refused instead. Other processes' uses are found in the database, by the hash.
 */
export class ReplayMemory {
  readonly #key: KeyObject
  readonly #clock: Clock
  readonly #maxTokens: number
  /** By the hash's first byte: one set of a million stops the process for 30 to 100 ms each time it grows. */
  readonly #used = Array.from({ length: 256 }, () => new Set<string>())
  #size = 0
  /** Unix seconds in which they expire, rounded up → hashes. There are no more seconds than a token lives. */
  readonly #bySecond = new Map<number, string[]>()
  /** What expires up to this second is forgotten, also when the clock goes back behind it. */
  #forgottenUntil = 0

  constructor({ key, clock, maxTokens = MAX_TOKENS }: ReplayMemoryOptions) {
    this.#key = createSecretKey(key)
    this.#clock = clock
    this.#maxTokens = maxTokens
  }

  /**
   * Uses a token up. Throws `AuthError` replayed when it was used before, expired when it is too late to tell, and
   * `RefusalError` Overloaded when the memory is full.
   * @param expiresAtMs Unix ms from which on the token is refused for its age
   */
  use(iss: string, jti: string, expiresAtMs: number): TokenUse {
    this.#forgetExpired(Math.floor(this.#clock.now() / 1000))
    const second = Math.ceil(expiresAtMs / 1000)
    // It was still good when its claims were read; looking for the key may have taken longer.
    if (second <= this.#forgottenUntil) throw new AuthError('expired', 'the token has expired')
    const digest = createHmac('sha256', this.#key).update(`${iss}\0${jti}`).digest().subarray(0, HASH_BYTES)
    // Latin-1 keeps a byte in a byte; hex would take two.
    const hash = digest.toString('latin1')
    const used = this.#setOf(hash)
    if (used.has(hash)) throw new AuthError('replayed', 'the token has been used before')
    if (this.#size >= this.#maxTokens) {
      throw new RefusalError('Overloaded', 'too many tokens were used within their lifetime')
    }
    used.add(hash)
    this.#size++
    const sameSecond = this.#bySecond.get(second)
    if (sameSecond) sameSecond.push(hash)
    else this.#bySecond.set(second, [hash])
    return { hash: hex(digest), expiresAtMs }
  }

  #forgetExpired(nowS: number): void {
    if (nowS <= this.#forgottenUntil) return
    this.#forgottenUntil = nowS
    for (const [second, hashes] of this.#bySecond) {
      if (second > nowS) continue
      for (const hash of hashes) this.#setOf(hash).delete(hash)
      this.#size -= hashes.length
      this.#bySecond.delete(second)
    }
  }

  #setOf(hash: string): Set<string> {
    return this.#used[hash.charCodeAt(0)]!
  }
}
