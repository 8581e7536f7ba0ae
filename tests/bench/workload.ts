import { randomBytes } from 'node:crypto'
import { craftApplicationMessage, craftCommit } from '../support/frames.ts'

export type Kind = 'commit' | 'message'

/** Conversations to load, with the epoch that each has reached: a worker owns some and takes them in turn. */
export class Workload {
  readonly convoIds: string[]
  readonly #epochs: number[]
  readonly #frames = new Map<string, Uint8Array<ArrayBuffer>>()

  constructor(count: number) {
    const run = randomBytes(8).toString('hex')
    this.convoIds = Array.from({ length: count }, (_, i) => run + i.toString(16).padStart(16, '0'))
    this.#epochs = new Array(count).fill(0)
  }

  epoch(index: number): number {
    return this.#epochs[index]!
  }

  advance(index: number): void {
    this.#epochs[index]!++
  }

  /** A frame with a valid header for the conversation's epoch; made once per conversation, then only renumbered. */
  frame(kind: Kind, index: number): Uint8Array<ArrayBuffer> {
    const key = `${kind}${index}`
    const groupId = Buffer.from(this.convoIds[index]!, 'hex')
    let frame = this.#frames.get(key)
    if (!frame) {
      const craft = kind === 'commit' ? craftCommit : craftApplicationMessage
      frame = craft({ groupId, epoch: 0, size: 800 })
      this.#frames.set(key, frame)
    }
    // version u16, wire format u16, one byte of length, the group id, then the epoch.
    new DataView(frame.buffer).setBigUint64(5 + groupId.length, BigInt(this.#epochs[index]!))
    return frame
  }
}

/** Runs `count` workers until the time is over; worker k takes conversations k, k + count, … Answers ops/s. */
export async function runWorkers(
  count: number,
  conversations: number,
  seconds: number,
  once: (worker: number, index: number) => Promise<void>,
): Promise<number> {
  const startedMs = performance.now()
  const until = startedMs + seconds * 1000
  const worker = async (_: unknown, k: number): Promise<number> => {
    let done = 0
    for (
      let index = k;
      performance.now() < until;
      index = index + count < conversations ? index + count : k
    ) {
      await once(k, index)
      done++
    }
    return done
  }
  const counts = await Promise.all(Array.from({ length: count }, worker))
  return (counts.reduce((sum, n) => sum + n, 0) * 1000) / (performance.now() - startedMs)
}
