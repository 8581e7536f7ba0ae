import { randomBytes } from 'node:crypto'
import { type FrameKind, FrameWriter, GROUP_ID_BYTES } from '../load/frame-writer.ts'

export type Kind = FrameKind

/** Conversations to load, with the epoch that each has reached: a worker owns some and takes them in turn. */
export class Workload {
  readonly convoIds: string[]
  readonly #epochs: number[]
  readonly #frames = new FrameWriter()

  constructor(count: number) {
    this.convoIds = Array.from({ length: count }, () => randomBytes(GROUP_ID_BYTES).toString('hex'))
    this.#epochs = new Array(count).fill(0)
  }

  epoch(index: number): number {
    return this.#epochs[index]!
  }

  advance(index: number): void {
    this.#epochs[index]!++
  }

  /** A frame for the conversation's epoch, unlike all others, in a buffer that the next call writes over. */
  frame(kind: Kind, index: number): Uint8Array<ArrayBuffer> {
    return this.#frames.write(kind, Buffer.from(this.convoIds[index]!, 'hex'), this.#epochs[index]!)
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
