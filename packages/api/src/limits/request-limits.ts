import type { Nsid } from '@catbird/shared/lexicon'
import { type LimitState, limitHeaders, RateLimitError, tightest } from './limit-state.ts'
import type { RateLimits } from './rate-limits.ts'

/** The limits of one request, in the order in which it meets them, and what its reply says of them. */
export class RequestLimits {
  readonly #limits: RateLimits
  #tightest: LimitState | undefined
  #refused: LimitState | undefined
  #stored: { did: string; bytes: number } | undefined

  constructor(limits: RateLimits) {
    this.#limits = limits
  }

  /** Before the token is looked at. */
  addressMayTry(address: string): Promise<void> {
    return this.#watch(this.#limits.addressMayTry(address))
  }

  /** When the token was not accepted. */
  addressFailed(address: string): Promise<void> {
    return this.#watch(this.#limits.addressFailed(address))
  }

  /** Before the body is read. */
  takeCaller(did: string, nsid: Nsid): Promise<void> {
    return this.#watch(this.#limits.take(did, nsid))
  }

  /** Before a body is read, or as it comes. */
  takeBody(did: string, bytes: number): Promise<void> {
    return this.#watch(this.#limits.takeBytes(did, bytes))
  }

  /** What depends on the validated input: the conversation, the targets of claims, the bytes to store. */
  async takeInput(did: string, nsid: Nsid, input: object): Promise<void> {
    const { convoId, dids } = input as { convoId?: string; dids?: string[] }
    if (convoId !== undefined) await this.#watch(this.#limits.takeForConvo(did, nsid, convoId))
    if (nsid === 'blue.catbird.mls.getKeyPackages')
      await this.#watch(this.#limits.takeClaims(did, dids ?? []))
    const bytes = bytesToStore(nsid, input)
    if (bytes === 0) return
    await this.#watch(this.#limits.takeStored(did, bytes))
    this.#stored = { did, bytes }
  }

  /** When the method refused: what was taken for its bytes is given back, once. */
  async storedNothing(): Promise<void> {
    const stored = this.#stored
    this.#stored = undefined
    if (stored) await this.#limits.giveBackStored(stored.did, stored.bytes)
  }

  /** For the reply, whatever it is; to be set over those of an error, whose Retry-After is a guess. */
  headers(): Record<string, string> {
    if (this.#refused) {
      return { ...limitHeaders(this.#refused), 'Retry-After': String(this.#refused.resetS) }
    }
    return this.#tightest ? limitHeaders(this.#tightest) : {}
  }

  async #watch(taking: Promise<LimitState | undefined>): Promise<void> {
    try {
      this.#tightest = tightest([this.#tightest, await taking])
    } catch (error) {
      if (error instanceof RateLimitError) this.#refused = error.state
      throw error
    }
  }
}

/** Key packages have a limit of their own, and ephemeral messages are not stored. */
const NOT_COUNTED: readonly Nsid[] = ['blue.catbird.mls.publishKeyPackage', 'blue.catbird.mls.sendEphemeral']

/** Of messages, commits and Welcomes. */
function bytesToStore(nsid: Nsid, input: object): number {
  if (NOT_COUNTED.includes(nsid)) return 0
  return Object.values(input).reduce(
    (sum, value) => (value instanceof Uint8Array ? sum + value.byteLength : sum),
    0,
  )
}
