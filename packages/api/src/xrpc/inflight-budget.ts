/** What a request costs beside its body: its headers, and what Node reads ahead of us. */
const BASE_BYTES = 16 * 1024
/** The body is held as text, as parsed values and as decoded bytes. */
const COPIES = 3

/** Of the whole, for the requests of any one caller together; with the default, more than the largest one needs. */
const CALLER_SHARE = 0.4

/**
 * Bounds the bytes that all requests in flight hold. A request is let in when what it announces would fit, but pays
 * for bytes only when they are here: announcing much and sending nothing takes no room from anybody.
 */
export class InflightBudget {
  readonly #maxBytes: number
  readonly #ofCallers = new Map<string, number>()
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
    let isOver = false
    let caller: string | undefined
    const add = (bytes: number): void => {
      held += bytes
      this.#used += bytes
      if (caller !== undefined) this.#addToCaller(caller, bytes)
    }
    const take = (bytes: number): boolean => {
      // Nobody waits for it any more, and nobody would give it back.
      if (isOver) return true
      if (!this.#hasRoom(bytes, held, this.#used, this.#maxBytes)) return false
      const ofCaller = caller === undefined ? held : this.#ofCallers.get(caller)!
      if (!this.#hasRoom(bytes, held, ofCaller, this.#maxBytes * CALLER_SHARE)) return false
      add(bytes)
      return true
    }
    add(BASE_BYTES)
    return {
      belongsTo: (did) => {
        caller = did
        this.#addToCaller(did, held)
      },
      charge: (bytes) => take(COPIES * bytes),
      chargeAnswer: (bytes) => take(bytes),
      release: () => {
        add(-held)
        isOver = true
      },
    }
  }

  #hasRoom(bytes: number, held: number, used: number, max: number): boolean {
    return used === held || used + bytes <= max
  }

  #addToCaller(did: string, bytes: number): void {
    const sum = (this.#ofCallers.get(did) ?? 0) + bytes
    if (sum > 0) this.#ofCallers.set(did, sum)
    else this.#ofCallers.delete(did)
  }
}

/** A request's share of the budget. Bytes are refused when all requests, or all of its caller, hold too much. */
export type Admission = {
  /** Says whose request it is, as soon as that is proven. */
  belongsTo(did: string): void
  /** Pays for bytes of the body that have come; false when there is no room for them. */
  charge(bytes: number): boolean
  /** Pays for the bytes of an answer, which are held until it has been taken; false when there is no room. */
  chargeAnswer(bytes: number): boolean
  /** Gives back everything that this request holds; any further call changes nothing. */
  release(): void
}
