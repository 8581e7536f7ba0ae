import { describe, expect, it } from 'vitest'
import { type SseFrame, SseParser } from './sse-parser.ts'

const FIRST = { cursor: 'a-1_', info: 'Grüße, 世界 🐦' }
const SECOND = { cursor: 'b2', text: 'one\ntwo\rthree' }

function frame(event: { cursor: string }): string {
  return `id: ${event.cursor}\ndata: ${JSON.stringify(event)}\n\n`
}

/** Frames of a stream that comes in these parts and then ends. */
function parse(...parts: (string | Buffer)[]): SseFrame[] {
  const frames: SseFrame[] = []
  const parser = new SseParser((one) => frames.push(one))
  for (const part of parts) parser.push(Buffer.from(part))
  parser.end()
  return frames
}

it('reads frames cut anywhere, also inside a character', () => {
  const bytes = Buffer.from(frame(FIRST) + frame(SECOND) + frame(FIRST))
  const expected = [FIRST, SECOND, FIRST].map((event) => ({ cursor: event.cursor, event }))
  expect(parse(bytes)).toEqual(expected)
  for (let size = 1; size < bytes.length; size++) {
    const parts: Buffer[] = []
    for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size))
    expect(parse(...parts), `parts of ${size} bytes`).toEqual(expected)
  }
})

it('gives a frame as soon as its last byte is there', () => {
  const frames: SseFrame[] = []
  const parser = new SseParser((one) => frames.push(one))
  const bytes = Buffer.from(frame(FIRST))
  parser.push(bytes.subarray(0, -1))
  expect(frames).toHaveLength(0)
  parser.push(bytes.subarray(-1))
  expect(frames).toHaveLength(1)
})

it('reads an event of 10 MiB that comes in small parts', () => {
  const event = { cursor: 'c', bytes: 'A'.repeat(14 * 2 ** 20) }
  const bytes = Buffer.from(frame(event))
  const parts = Array.from({ length: Math.ceil(bytes.length / 16_384) }, (_, index) =>
    bytes.subarray(index * 16_384, (index + 1) * 16_384),
  )
  expect(parse(...parts)[0]?.event).toEqual(event)
})

describe('refuses', () => {
  const data = 'data: {"cursor":"a"}\n'
  it.each([
    ['a comment', `: hello\n\n`],
    ['a comment inside a frame', `id: a\n: hello\n${data}\n`],
    ['CR LF', `id: a\r\ndata: {"cursor":"a"}\r\n\r\n\n`],
    ['a CR behind the JSON', `id: a\ndata: {"cursor":"a"}\r\n\n`],
    ['the name of an event', `event: message\nid: a\n${data}\n`],
    ['a retry field', `retry: 100\nid: a\n${data}\n`],
    ['no id', `${data}\n`],
    ['an empty id', `id: \ndata: {"cursor":""}\n\n`],
    ['an id with other characters', `id: a=\ndata: {"cursor":"a="}\n\n`],
    ['an id without space', `id:a\n${data}\n`],
    ['no data', `id: a\n\n`],
    ['two lines of data', `id: a\n${data}data: {}\n\n`],
    ['the data before the id', `${data}id: a\n\n`],
    ['an empty line too many', `id: a\n${data}\n\nid: a\n${data}\n`],
    ['a byte order mark', `\uFEFFid: a\n${data}\n`],
    ['data that is no JSON', `id: a\ndata: {"cursor":"a"\n\n`],
    ['data that is no object', `id: a\ndata: ["a"]\n\n`],
    ['another cursor than the id', `id: b\n${data}\n`],
    ['no cursor', `id: a\ndata: {}\n\n`],
    ['a frame that is cut off', `id: a\n${data}`],
  ])('%s', (_name, text) => {
    expect(() => parse(text)).toThrow()
    expect(() => parse(frame(FIRST), ...text)).toThrow()
  })

  it('what is no UTF-8', () => {
    const bytes = Buffer.from(`id: a\ndata: {"cursor":"a","text":"é"}\n\n`)
    bytes[bytes.indexOf(0xc3)] = 0xff
    expect(() => parse(bytes)).toThrow()
  })

  it('a frame without end', () => {
    const parser = new SseParser(() => {})
    const push = () => {
      for (let count = 0; count < 17; count++) parser.push(Buffer.alloc(2 ** 20, 'a'))
    }
    expect(push).toThrow('longer than any event')
  })
})
