export type Random = { below(limit: number): number }

/** mulberry32: small, and the same sequence for the same seed on every machine. */
export function seededRandom(seed: number): Random {
  let state = seed
  return {
    below(limit) {
      state = (state + 0x6d2b79f5) | 0
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
      return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
    },
  }
}

/** One to three of: flip a bit, set a byte, truncate, insert, remove a range, splice in a piece of `other`. */
export function mutate(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let result = bytes
  for (let round = random.below(3); round >= 0; round--) result = mutateOnce(result, other, random)
  return result
}

function mutateOnce(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length + 1)
  const length = random.below(random.below(4) === 0 ? 200 : 8)
  const from = random.below(other.length + 1)
  switch (random.below(6)) {
    case 0:
      return changeByte(bytes, at, (byte) => byte ^ (1 << random.below(8)))
    case 1:
      return changeByte(bytes, at, () => random.below(256))
    case 2:
      return bytes.slice(0, at)
    case 3:
      return join(bytes.subarray(0, at), new Uint8Array(length).fill(random.below(256)), bytes.subarray(at))
    case 4:
      return join(bytes.subarray(0, at), bytes.subarray(at + length))
    default:
      return join(bytes.subarray(0, at), other.subarray(from, from + length), bytes.subarray(at + length))
  }
}

function changeByte(bytes: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  const copy = bytes.slice()
  const byte = copy[at]
  if (byte !== undefined) copy[at] = change(byte)
  return copy
}

export function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
