import { encode } from 'cborg'
import { expect, it } from 'vitest'
import { Random } from '../../engine/random.ts'
import { type CborValue, DagCborReader } from './dag-cbor.ts'

function readWhole(bytes: Uint8Array): CborValue {
  const reader = new DagCborReader(bytes)
  const value = reader.read()
  if (!reader.isAtEnd) throw new Error('more bytes')
  return value
}

function randomValue(random: Random, depth = 0): CborValue {
  const kinds = ['number', 'text', 'bytes', 'simple', ...(depth < 4 ? ['list', 'map'] : [])]
  const size = random.chance(0.1) ? 24 + random.int(300) : random.int(6)
  const many = <T>(make: () => T) => Array.from({ length: Math.min(size, 30) }, make)
  switch (random.pick(kinds)) {
    case 'number':
      return (random.chance(0.3) ? -1 : 1) * Math.floor(2 ** (random.next() * 53))
    case 'text':
      return random.pick(['a', 'é', '世', '🐦']).repeat(size)
    case 'bytes':
      return Buffer.from(many(() => random.int(256)))
    case 'list':
      return many(() => randomValue(random, depth + 1))
    case 'map':
      return Object.fromEntries(
        many(() => [`${'k'.repeat(random.int(4))}${random.int(50)}`, randomValue(random, depth + 1)]),
      )
    default:
      return random.pick([true, false, null])
  }
}

it('reads what another encoder writes, and nothing that this encoder would write otherwise', () => {
  const random = new Random(7)
  let accepted = 0
  for (let run = 0; run < 3000; run++) {
    const bytes = Buffer.from(encode(randomValue(random)))
    const value = readWhole(bytes)
    expect(Buffer.from(encode(value)).equals(bytes)).toBe(true)
    for (let change = 0; change < 5; change++) {
      const changed = Buffer.from(bytes)
      changed[random.int(changed.length)] = random.int(256)
      try {
        const other = readWhole(changed)
        accepted++
        expect(Buffer.from(encode(other)).equals(changed), changed.toString('hex').slice(0, 200)).toBe(true)
      } catch (error) {
        if ((error as Error).name === 'AssertionError') throw error
      }
    }
  }
  expect(accepted).toBeGreaterThan(100)
})
