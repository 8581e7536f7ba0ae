import { readApplicationMessage } from '@catbird/shared/mls/application-message'
import { readMessageHeader } from '@catbird/shared/mls/message-header'
import { decodeMlsMessage } from 'ts-mls'
import { expect, it } from 'vitest'
import { craftApplicationMessage, craftCommit } from './frames.ts'

const groupId = Uint8Array.from({ length: 16 }, (_, index) => index)

it('crafts messages of exactly the size asked for, which both readers read', () => {
  const sizes = [100, 800, 16_384, 20_000, 70_000, ...range(60, 200), ...range(16_430, 16_470)]
  for (const size of sizes.filter((one) => one > 65)) {
    for (const craft of [craftApplicationMessage, craftCommit]) {
      const bytes = craft({ groupId, epoch: 2 ** 40 + 7, size })
      const contentType = craft === craftCommit ? 'commit' : 'application'
      expect(bytes.length).toBe(size)
      expect(readMessageHeader(bytes), `${size}`).toEqual({
        wireFormat: 'private',
        groupId,
        epoch: 2 ** 40 + 7,
        contentType,
      })
      expect(decodeMlsMessage(bytes, 0)?.[1]).toBe(size)
    }
  }
})

it('crafts 800 bytes if not told, no two alike, in an unpooled buffer', () => {
  const [one, other] = [
    craftApplicationMessage({ groupId, epoch: 0 }),
    craftApplicationMessage({ groupId, epoch: 0 }),
  ]
  expect(one.length).toBe(800)
  expect(one.buffer.byteLength).toBe(800)
  expect(one).not.toEqual(other)
  expect(readApplicationMessage(one)?.epoch).toBe(0)
})

it("takes any group id and the caller's noise", () => {
  for (const length of [0, 63, 64, 128]) {
    const bytes = craftCommit({
      groupId: new Uint8Array(length),
      epoch: 1,
      size: 1,
      random: (part) => part.fill(9),
    })
    expect(readMessageHeader(bytes)?.groupId.length).toBe(length)
    expect(bytes.at(-1)).toBe(9)
  }
})

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}
