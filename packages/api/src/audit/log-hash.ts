import { createHash } from 'node:crypto'

/** What of an entry goes into the log chain; `sha256` is of its bytes, lower-case hex. */
export type ChainLink = { seq: number; epoch: number; kind: 'app' | 'commit'; sender: string; sha256: string }

/** What the first entry's hash builds on, lower-case hex. */
export function firstLogHash(convoId: string): string {
  return createHash('sha256').update(convoId, 'utf8').digest('hex')
}

/**
 * The `logHash` of an entry after `previous`, lower-case hex. Written from the contract and on purpose not shared with
 * the code that writes the log: one mistake must not hide itself.
 */
export function nextLogHash(previous: string, link: ChainLink): string {
  const sender = Buffer.from(link.sender, 'utf8')
  return createHash('sha256')
    .update(Buffer.from(previous, 'hex'))
    .update(unsigned(link.seq, 8))
    .update(unsigned(link.epoch, 8))
    .update(unsigned(link.kind === 'app' ? 1 : 2, 1))
    .update(unsigned(sender.length, 2))
    .update(sender)
    .update(Buffer.from(link.sha256, 'hex'))
    .digest('hex')
}

/** Big-endian. */
function unsigned(value: number, size: number): Buffer {
  return Buffer.from(
    BigInt(value)
      .toString(16)
      .padStart(2 * size, '0'),
    'hex',
  )
}
