/** What a request costs beside its body: its headers, and what Node reads ahead of us. */
const BASE_BYTES = 16 * 1024
/** The body is held as text, as parsed values and as decoded bytes. */
const COPIES = 3

/**
 * Bounds the bytes that all requests in flight hold. A request is let in when what it announces would fit, but pays
 * for bytes only when they are here: announcing much and sending nothing takes no room from anybody.
 */
export class InflightBudget {
  readonly #maxBytes: number
  #used = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes that are held now. */
  get used(): number {
    return this.#used
  }

  /** Lets a request in whose body is announced with this length, 0 when unknown; undefined when there is no room. */
  admit(declaredBytes: number): Admission | undefined {
    // One that is alone is let in whatever its size: otherwise nobody could ever send it.
    if (this.#used > 0 && this.#used + BASE_BYTES + COPIES * declaredBytes > this.#maxBytes) return undefined
    let held = 0
    const take = (bytes: number): boolean => {
      const isAlone = this.#used === held
      if (!isAlone && this.#used + bytes > this.#maxBytes) return false
      held += bytes
      this.#used += bytes
      return true
    }
    take(BASE_BYTES)
    return {
      charge: (bytes) => take(COPIES * bytes),
      release: () => {
        this.#used -= held
        held = 0
      },
    }
  }
}

/** A request's share of the budget. */
export type Admission = {
  /** Pays for bytes of the body that have come; false when there is no room for them. */
  charge(bytes: number): boolean
  /** Gives back everything that this request holds; any further call changes nothing. */
  release(): void
}
