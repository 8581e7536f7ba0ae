import { describe, expect, it } from 'vitest'
import { Reader } from './reader.ts'

const read = (bytes: number[]) => new Reader(Uint8Array.from(bytes))

describe('Reader', () => {
  it('reads integers in network order', () => {
    const reader = read([1, 2, 3, 0xff, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2])
    expect([reader.u8(), reader.u16(), reader.u32(), reader.u64()]).toEqual([
      1,
      0x0203,
      0xff000001,
      2 ** 32 + 2,
    ])
    expect(reader.isComplete).toBe(true)
  })

  it('reads 64-bit integers up to 2^53 - 1 exactly and fails beyond', () => {
    const greatest = [0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
    expect(read(greatest).u64()).toBe(Number.MAX_SAFE_INTEGER)
    const beyond = read([0, 0x20, 0, 0, 0, 0, 0, 0])
    expect([beyond.u64(), beyond.failed]).toEqual([0, true])
    const saturated = read([0xff, 0, 0, 0, 0, 0, 0, 0])
    expect([saturated.u64Saturating(), saturated.failed]).toEqual([Number.MAX_SAFE_INTEGER, false])
  })

  it('stays failed after a read past the end', () => {
    const reader = read([1, 2, 3])
    expect([reader.u32(), reader.u8(), reader.failed, reader.isComplete]).toEqual([0, 0, true, false])
  })

  it.each([
    [[0], 0],
    [[63], 63],
    [[0x40, 64], 64],
    [[0x7f, 0xff], 16_383],
    [[0x80, 0, 0x40, 0], 16_384],
    [[0x80, 0x10, 0, 0], 2 ** 20],
  ])('reads the vector length %j as %i', (header, length) => {
    const reader = new Reader(Buffer.concat([Buffer.from(header), Buffer.alloc(length)]))
    expect(reader.vector().length).toBe(length)
    expect(reader.isComplete).toBe(true)
  })

  it.each([
    ['one byte written as two', [0x40, 63], 63],
    ['nothing written as two', [0x40, 0], 0],
    ['two bytes written as four', [0x80, 0, 0x3f, 0xff], 16_383],
    ['nothing written as four', [0x80, 0, 0, 0], 0],
    ['the prefix 0b11', [0xc0, 0, 0x40, 0], 16_384],
  ])('fails on a length that is not in its shortest form: %s', (_name, header, length) => {
    const bytes = Buffer.concat([Buffer.from(header), Buffer.alloc(length)])
    const reader = new Reader(bytes)
    expect([reader.vector().length, reader.failed]).toEqual([0, true])
    const skipping = new Reader(bytes)
    skipping.skipVector()
    expect(skipping.failed).toBe(true)
  })

  it('answers views, not copies', () => {
    const bytes = Uint8Array.from([2, 7, 8])
    const content = new Reader(bytes).vector()
    expect(content.buffer).toBe(bytes.buffer)
    expect([...content]).toEqual([7, 8])
  })

  it('keeps items inside their vector', () => {
    const values: number[] = []
    const whole = read([2, 5, 6, 9])
    whole.items((item) => values.push(item.u8()))
    expect([values, whole.u8(), whole.isComplete]).toEqual([[5, 6], 9, true])
    const straddling = read([3, 1, 2, 3, 4])
    straddling.items((item) => item.u16())
    expect(straddling.failed).toBe(true)
    const tooLong = read([4, 1, 2, 3])
    tooLong.items((item) => item.u8())
    expect(tooLong.failed).toBe(true)
  })

  it('reads presence as 0 or 1 and nothing else', () => {
    const present = read([1, 9])
    present.optional((reader) => reader.skip(1))
    const absent = read([0])
    absent.optional((reader) => reader.skip(1))
    const other = read([2, 9])
    other.optional((reader) => reader.skip(1))
    expect([present.isComplete, absent.isComplete, other.failed]).toEqual([true, true, true])
  })
})
