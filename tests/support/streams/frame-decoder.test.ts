import { encode } from 'cborg'
import { describe, expect, it } from 'vitest'
import { decodeFrame } from './frame-decoder.ts'

const HEADER = { op: 1, t: '#infoEvent' }
const PAYLOAD = { cursor: 'a', info: 'caughtUp' }

/** Data items one after the other; a string is hex. */
function frame(...items: (object | string)[]): Buffer {
  return Buffer.concat(items.map((item) => (typeof item === 'string' ? fromHex(item) : encode(item))))
}

function fromHex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

describe('decodes', () => {
  it('bytes written by hand', () => {
    const header = 'a2 6174 6a23696e666f4576656e74 626f70 01'
    const payload = 'a2 64696e666f 65c3a9e29885 66637572736f72 6161'
    expect(decodeFrame(frame(header, payload))).toEqual({
      event: { type: 'infoEvent', cursor: 'a', info: 'é★' },
    })
  })

  it('every kind of value, with bytes in the form that JSON has', () => {
    const payload = {
      cursor: 'a',
      message: { seq: 2 ** 53 - 1, ciphertext: Uint8Array.of(0xff, 0xfe, 0), low: -(2 ** 53) + 1 },
      numbers: [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, -1, -24, -25, -257],
      simple: [true, false, null],
      text: ['', 'ü', 'x'.repeat(70_000)],
      none: new Uint8Array(),
    }
    const { seq, low } = payload.message
    expect(decodeFrame(frame({ op: 1, t: '#messageEvent' }, payload))).toEqual({
      event: {
        type: 'messageEvent',
        ...payload,
        message: { seq, low, ciphertext: { $bytes: '//4A' } },
        none: { $bytes: '' },
      },
    })
  })

  it('an error', () => {
    const error = { error: 'ConsumerTooSlow', message: 'cursor=a' }
    expect(decodeFrame(frame({ op: -1 }, error))).toEqual({ error })
    expect(decodeFrame(frame({ op: -1 }, { error: 'FutureCursor' }))).toEqual({
      error: { error: 'FutureCursor' },
    })
  })

  it('bytes that lie inside a larger buffer', () => {
    const bytes = frame(HEADER, PAYLOAD)
    const around = Buffer.concat([Buffer.alloc(5), bytes, Buffer.alloc(5)])
    expect(decodeFrame(around.subarray(5, -5))).toEqual({ event: { type: 'infoEvent', ...PAYLOAD } })
  })
})

describe('refuses', () => {
  it.each([
    ['nothing at all', []],
    ['a header alone', [HEADER]],
    ['a third item', [HEADER, PAYLOAD, PAYLOAD]],
    ['a header that is a list', ['80', PAYLOAD]],
    ['a payload that is a list', [HEADER, '80']],
    ['a payload that is a byte string', [HEADER, '40']],
    ['a payload that is null', [HEADER, 'f6']],
    ['another op', [{ op: 2, t: '#infoEvent' }, PAYLOAD]],
    ['an op that is text', [{ op: '1', t: '#infoEvent' }, PAYLOAD]],
    ['a header without t', [{ op: 1 }, PAYLOAD]],
    ['a header with more', [{ ...HEADER, v: 1 }, PAYLOAD]],
    ['a type without #', [{ op: 1, t: 'infoEvent' }, PAYLOAD]],
    ['a full type', [{ op: 1, t: 'blue.catbird.mls.streamConvoEvents#infoEvent' }, PAYLOAD]],
    ['a type in the payload', [HEADER, { ...PAYLOAD, type: 'infoEvent' }]],
    ['a $type in the payload', [HEADER, { ...PAYLOAD, $type: '#infoEvent' }]],
    ['an error with a type', [{ op: -1, t: '#error' }, { error: 'FutureCursor' }]],
    ['an error without name', [{ op: -1 }, { message: 'no' }]],
    ['an error with more', [{ op: -1 }, { error: 'FutureCursor', cursor: 'a' }]],
    ['an error whose message is no text', [{ op: -1 }, { error: 'FutureCursor', message: 1 }]],
  ])('%s', (_name, items) => {
    expect(() => decodeFrame(frame(...items))).toThrow()
  })

  /** As the value of {"a": …}. */
  it.each([
    ['a number in one byte too many', '1817'],
    ['255 in two bytes', '1900ff'],
    ['65535 in four bytes', '1a0000ffff'],
    ['a number of 32 bits in eight bytes', '1b00000000ffffffff'],
    ['a negative number in one byte too many', '3817'],
    ['a number beyond 2^53', '1b0020000000000000'],
    ['a negative number beyond -2^53', '3b001fffffffffffff'],
    ['a length in one byte too many', '5801ff'],
    ['the length of text in one byte too many', '780161'],
    ['a list of open length', '9f01ff'],
    ['a map of open length', 'bf616101ff'],
    ['bytes of open length', '5f4101ff'],
    ['text of open length', '7f6161ff'],
    ['a break', 'ff'],
    ['a reserved form of length', '1c'],
    ['a float of 16 bits', 'f93c00'],
    ['a float of 32 bits', 'fa3f800000'],
    ['a float of 64 bits', 'fb3ff8000000000000'],
    ['undefined', 'f7'],
    ['another simple value', 'e0'],
    ['a simple value in two bytes', 'f8ff'],
    ['a tag', 'c11a514b67b0'],
    ['a link', 'd82a4100'],
    ['text that is no UTF-8', '61ff'],
    ['text cut inside a character', '61c3'],
    ['half of a surrogate pair', '63eda080'],
    ['keys of one length out of order', 'a2616201616101'],
    ['a longer key before a shorter one', 'a262616101616201'],
    ['a key twice', 'a2616101616102'],
    ['a key that is a number', 'a10101'],
    ['a key that is bytes', 'a1416101'],
    ['a list that is cut off', '8201'],
    ['a map that is cut off', 'a16161'],
    ['a list of more items than there are bytes', '9b001fffffffffffff'],
    ['more bytes than there are', '5affffffff'],
    ['lists in lists without end', '81'.repeat(1000)],
  ])('%s', (_name, value) => {
    expect(() => decodeFrame(frame(HEADER, 'a16161', '01'))).not.toThrow()
    expect(() => decodeFrame(frame(HEADER, 'a16161', value))).toThrow()
    expect(() => decodeFrame(frame(HEADER, 'a1616181', value))).toThrow()
  })

  it('every frame that is cut, and every one with a byte more', () => {
    const bytes = frame(HEADER, { ...PAYLOAD, bytes: Uint8Array.of(1, 2, 3), list: [1, 1000] })
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeFrame(bytes.subarray(0, length)), `${length} bytes`).toThrow()
    }
    expect(() => decodeFrame(Buffer.concat([bytes, Buffer.of(0)]))).toThrow('bytes after the payload')
  })
})
