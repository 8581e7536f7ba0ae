import { isUtf8 } from 'node:buffer'

export type CborValue = null | boolean | number | string | Uint8Array | CborValue[] | CborMap
export type CborMap = { [key: string]: CborValue }

const MAX_DEPTH = 8
const SIMPLE: Record<number, null | boolean> = { 20: false, 21: true, 22: null }
/** The least value that may take 1, 2, 4 and 8 bytes after the initial one: a smaller one has a shorter form. */
const LEAST = [24, 2 ** 8, 2 ** 16, 2 ** 32] as const

/**
 * Reads DAG-CBOR (RFC 8949 section 4.2, with the order of keys of RFC 7049) and refuses every other way to write the
 * same value: lengths left open, numbers in more bytes than needed, keys out of order or twice, text that is no UTF-8.
 * Numbers with a point and tags, links among them, are refused too: no field here has one. The cborg library decodes
 * leniently in the order of keys, text and floats, and is what the server's encoder is made of.
 */
export class DagCborReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  /** The next data item. */
  read(depth = 0): CborValue {
    if (depth > MAX_DEPTH) throw new Error('nested too deeply')
    const initial = this.#take(1)[0]!
    const info = initial & 31
    const major = initial >> 5
    if (major === 7) return simple(info)
    if (major === 6) throw new Error('a tag, which no field has')
    const argument = this.#argument(info)
    if (major === 0) return argument
    if (major === 1) return safe(-1 - argument)
    if (major === 2) return this.#take(argument)
    if (major === 3) return textOf(this.#take(argument))
    return major === 4 ? this.#list(argument, depth) : this.#map(argument, depth)
  }

  /** The number in or after the initial byte. */
  #argument(info: number): number {
    if (info < 24) return info
    if (info > 27) throw new Error('a length left open, or a reserved form')
    const bytes = this.#take(2 ** (info - 24))
    const value =
      bytes.length < 8
        ? bytes.readUIntBE(0, bytes.length)
        : bytes.readUInt32BE(0) * 2 ** 32 + bytes.readUInt32BE(4)
    if (value < LEAST[info - 24]!) throw new Error('a number in more bytes than it needs')
    return safe(value)
  }

  #list(length: number, depth: number): CborValue[] {
    const items: CborValue[] = []
    while (items.length < length) items.push(this.read(depth + 1))
    return items
  }

  #map(length: number, depth: number): CborMap {
    const entries: [string, CborValue][] = []
    let previous: Buffer | undefined
    while (entries.length < length) {
      const key = this.#key()
      if (previous && !isBefore(previous, key)) throw new Error('a key out of order, or there twice')
      previous = key
      entries.push([textOf(key), this.read(depth + 1)])
    }
    return Object.fromEntries(entries)
  }

  #key(): Buffer {
    const initial = this.#take(1)[0]!
    if (initial >> 5 !== 3) throw new Error('a key that is not text')
    return this.#take(this.#argument(initial & 31))
  }

  #take(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new Error('cut off')
    const part = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return part
  }
}

function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new Error('text that is no UTF-8')
  return bytes.toString()
}

function simple(info: number): null | boolean {
  const value = SIMPLE[info]
  if (value === undefined) throw new Error('a float, or a simple value other than false, true and null')
  return value
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new Error('a number beyond 2^53')
  return value
}

/** Shorter keys come first, those of one length by their bytes. */
function isBefore(one: Buffer, other: Buffer): boolean {
  return one.length === other.length ? one.compare(other) < 0 : one.length < other.length
}
