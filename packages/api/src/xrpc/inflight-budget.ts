/** What a request costs beside its body. */
const BASE_BYTES = 4 * 1024
/** The body is held as text, as parsed values and as decoded bytes. */
const COPIES = 3

/** Bounds the bytes that all requests in flight may hold: beyond it they are refused before the body is read. */
export class InflightBudget {
  readonly #maxBytes: number
  #used = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Takes a request's share; undefined when there is no room, else the function that gives it back, once. */
  reserve(bodyBytes: number): (() => void) | undefined {
    const cost = BASE_BYTES + COPIES * bodyBytes
    if (this.#used > 0 && this.#used + cost > this.#maxBytes) return undefined
    this.#used += cost
    let isHeld = true
    return () => {
      if (isHeld) this.#used -= cost
      isHeld = false
    }
  }
}
