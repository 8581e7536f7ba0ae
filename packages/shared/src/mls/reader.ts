const EMPTY = new Uint8Array(0)
/** Upper half of the greatest integer that a number holds exactly. */
const MAX_SAFE_HIGH = 0x1f_ffff

/**
 * A cursor over TLS presentation language bytes (RFC 9420 section 2.1). A read past the end or of a malformed
 * value sets `failed` and answers 0 or nothing; every later read fails too, so callers look at `failed` (or
 * `isComplete`) once, at the end. Byte strings come out as views: nothing is copied.
 */
export class Reader {
  readonly bytes: Uint8Array
  offset = 0
  failed = false
  // End of the innermost vector being read.
  private end: number

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.end = bytes.length
  }

  /** True when everything was well-formed and no byte is left. */
  get isComplete(): boolean {
    return !this.failed && this.offset === this.bytes.length
  }

  fail(): void {
    this.failed = true
  }

  u8(): number {
    const at = this.take(1)
    return at < 0 ? 0 : this.bytes[at]!
  }

  u16(): number {
    const at = this.take(2)
    return at < 0 ? 0 : (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  u32(): number {
    const at = this.take(4)
    if (at < 0) return 0
    const { bytes } = this
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  }

  /** A 64-bit integer up to 2^53 - 1; a greater one fails. */
  u64(): number {
    const high = this.u32()
    const low = this.u32()
    if (high <= MAX_SAFE_HIGH) return high * 2 ** 32 + low
    this.fail()
    return 0
  }

  /** A 64-bit integer, or 2^53 - 1 for anything greater. For times, where that means "never". */
  u64Saturating(): number {
    const high = this.u32()
    const low = this.u32()
    return high > MAX_SAFE_HIGH ? Number.MAX_SAFE_INTEGER : high * 2 ** 32 + low
  }

  skip(length: number): void {
    this.take(length)
  }

  /** The content of an `opaque<V>` as a view. */
  vector(): Uint8Array {
    const length = this.vectorLength()
    const at = this.take(length)
    return at < 0 ? EMPTY : this.bytes.subarray(at, at + length)
  }

  skipVector(): void {
    this.take(this.vectorLength())
  }

  /** Reads a vector `T<V>` with one `readItem` after the other, the last of which must end where it ends. */
  items(readItem: (reader: Reader) => void): void {
    const length = this.vectorLength()
    const outerEnd = this.end
    if (length > outerEnd - this.offset) this.fail()
    this.end = this.offset + length
    while (!this.failed && this.offset < this.end) readItem(this)
    this.end = outerEnd
  }

  /** `optional<T>` (RFC 9420 section 2.1.1): one presence byte, 0 or 1, then the value. */
  optional(readValue: (reader: Reader) => void): void {
    const presence = this.u8()
    if (presence === 1) readValue(this)
    else if (presence !== 0) this.fail()
  }

  /** Variable-size length header (RFC 9420 section 2.1.2): 1, 2 or 4 bytes, in the shortest form that fits. */
  private vectorLength(): number {
    const first = this.u8()
    const prefix = first >> 6
    if (prefix === 0) return first
    const { bytes } = this
    if (prefix === 1) {
      const at = this.take(1)
      return at < 0 ? 0 : this.atLeast(64, ((first & 0x3f) << 8) | bytes[at]!)
    }
    const at = prefix === 2 ? this.take(3) : -1
    if (at < 0) {
      this.fail()
      return 0
    }
    const length = ((first & 0x3f) << 24) | (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
    return this.atLeast(16_384, length)
  }

  private atLeast(minimum: number, length: number): number {
    if (length >= minimum) return length
    this.fail()
    return 0
  }

  /** Moves over `length` bytes and answers where they start, or -1 when they are not there. */
  private take(length: number): number {
    const at = this.offset
    if (this.failed || length > this.end - at) {
      this.failed = true
      return -1
    }
    this.offset = at + length
    return at
  }
}
