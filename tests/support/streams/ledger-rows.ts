import { hash } from 'node:crypto'

/** What a row of the ledger is about. */
export const ROW = {
  connected: 0,
  app: 1,
  commit: 2,
  membership: 3,
  ephemeral: 4,
  membershipEnded: 5,
  outdatedCursor: 6,
  caughtUp: 7,
  other: 8,
} as const

export const ACTIONS = ['joined', 'left', 'removed'] as const

/** Of each event a few numbers: digests stand for what is long. */
export type LedgerRow = {
  kind: number
  /** Index into the ledger's conversations; -1 for none. */
  convo: number
  seq: number
  cursor: number
  bytes: number
  /** Of a membership event the DID that it is about. */
  sender: number
  /** Of a membership event the index of its action. */
  epoch: number
  logHash: number
}

const COLUMNS = 8
const FIRST_CAPACITY = 256

/** Rows of numbers without an object for each: 64 bytes an event. */
export class LedgerRows {
  #values = new Float64Array(FIRST_CAPACITY * COLUMNS)
  length = 0

  push(row: Partial<LedgerRow> & { kind: number }): void {
    const at = this.length++ * COLUMNS
    if (at === this.#values.length) {
      const grown = new Float64Array(at * 2)
      grown.set(this.#values)
      this.#values = grown
    }
    const values = this.#values
    values[at] = row.kind
    values[at + 1] = row.convo ?? -1
    values[at + 2] = row.seq ?? 0
    values[at + 3] = row.cursor ?? 0
    values[at + 4] = row.bytes ?? 0
    values[at + 5] = row.sender ?? 0
    values[at + 6] = row.epoch ?? 0
    values[at + 7] = row.logHash ?? 0
  }

  at(index: number): LedgerRow {
    const at = index * COLUMNS
    const values = this.#values
    return {
      kind: values[at]!,
      convo: values[at + 1]!,
      seq: values[at + 2]!,
      cursor: values[at + 3]!,
      bytes: values[at + 4]!,
      sender: values[at + 5]!,
      epoch: values[at + 6]!,
      logHash: values[at + 7]!,
    }
  }
}

const DIGEST_BYTES = 6

/** The first 48 bits of SHA-256. */
export function digestOfBytes(bytes: Uint8Array): number {
  return hash('sha256', bytes, 'buffer').readUIntBE(0, DIGEST_BYTES)
}

/** The same from the whole SHA-256 in hex. */
export function digestOfHash(sha256Hex: string): number {
  return Number.parseInt(sha256Hex.slice(0, 2 * DIGEST_BYTES), 16)
}

/** 53 bits that tell texts apart where nobody tries to make two alike (cyrb53); never 0. */
export function digest(text: string): number {
  let one = 0xdeadbeef
  let two = 0x41c6ce57
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    one = Math.imul(one ^ code, 2654435761)
    two = Math.imul(two ^ code, 1597334677)
  }
  one = Math.imul(one ^ (one >>> 16), 2246822507) ^ Math.imul(two ^ (two >>> 13), 3266489909)
  two = Math.imul(two ^ (two >>> 16), 2246822507) ^ Math.imul(one ^ (one >>> 13), 3266489909)
  return (two & (2 ** 21 - 1)) * 2 ** 32 + (one >>> 0) || 1
}
