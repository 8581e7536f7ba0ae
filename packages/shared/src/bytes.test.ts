import { describe, expect, it } from 'vitest'
import { decodeBase64, encodeBase64, fromHex, hex, sha256, sha256Hex } from './bytes.ts'

describe('decodeBase64', () => {
  it('reads what encodeBase64 writes, and the other three forms', () => {
    for (let length = 0; length < 70; length++) {
      const bytes = Uint8Array.from({ length }, (_, index) => (index * 37 + length * 251) & 0xff)
      const standard = encodeBase64(bytes)
      const url = standard.replaceAll('+', '-').replaceAll('/', '_')
      for (const text of [standard, url, standard.replaceAll('=', ''), url.replaceAll('=', '')])
        expect(decodeBase64(text)).toEqual(bytes)
    }
  })

  it('answers an unpooled buffer', () => {
    expect(decodeBase64('QUJD')?.buffer.byteLength).toBe(3)
  })

  it.each([
    ['whitespace', 'QUJD\n'],
    ['whitespace inside', 'QU JD'],
    ['both alphabets', '+-AA'],
    ['both alphabets far apart', `_${'A'.repeat(98)}/`],
    ['a character of neither alphabet', 'QU*D'],
    ['a wide character', 'QU\u0151D'],
    ['a wide character whose low byte is a digit', 'QUJ\u0141'],
    ['one digit too many', 'QUJDA'],
    ['one digit', 'A'],
    ['padding alone', '='],
    ['too little padding', 'QQ='],
    ['too much padding', 'QUI=='],
    ['padding where none belongs', 'QUJD='],
    ['three signs of padding', 'Q==='],
    ['padding in the middle', 'QQ==QQ=='],
    ['a non-zero bit after one byte', 'QR=='],
    ['a non-zero bit after one byte, without padding', 'QR'],
    ['a non-zero bit after two bytes', 'QUJ='],
    ['a non-zero bit after two bytes, url alphabet', '_-J'],
  ])('refuses %s', (_name, text) => {
    expect(decodeBase64(text)).toBeNull()
  })
})

describe('hex', () => {
  it('goes both ways', () => {
    const bytes = Uint8Array.from([0, 1, 0xab, 0xff])
    expect(hex(bytes.subarray(1))).toBe('01abff')
    expect(fromHex('0001abFF')).toEqual(bytes)
    expect(fromHex('')).toEqual(new Uint8Array(0))
  })

  it.each(['0', 'zz', '00z1', '0 01', '00\u0131'])('refuses %j', (text) => {
    expect(fromHex(text)).toBeNull()
  })
})

it('hashes bytes and the UTF-8 of strings', () => {
  const digest = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
  expect(sha256Hex('abc')).toBe(digest)
  expect(hex(sha256(new TextEncoder().encode('abc')))).toBe(digest)
})
