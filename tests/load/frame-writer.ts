import { randomBytes } from 'node:crypto'
import { craftApplicationMessage, craftCommit } from '../support/frames.ts'

export type FrameKind = 'commit' | 'message'

/** The ids of groups that are loaded are of this length, so that one frame serves all. */
export const GROUP_ID_BYTES = 16
const FRAME_BYTES = 800
/** After the version (u16), the wire format (u16) and one byte of length. */
const GROUP_ID_AT = 5
const EPOCH_AT = GROUP_ID_AT + GROUP_ID_BYTES
/** At the end of each frame, in its encrypted part. */
export const STAMP_BYTES = 16
const COUNTER_BYTES = 8

/** Frames with valid headers, of which no two are the same; making one costs next to nothing. */
export class FrameWriter {
  readonly #frames: Record<FrameKind, Uint8Array<ArrayBuffer>>
  #count = 0n

  constructor() {
    const options = { groupId: new Uint8Array(GROUP_ID_BYTES), epoch: 0, size: FRAME_BYTES }
    this.#frames = { commit: craftCommit(options), message: craftApplicationMessage(options) }
    const run = randomBytes(STAMP_BYTES - COUNTER_BYTES)
    for (const frame of Object.values(this.#frames)) frame.set(run, frame.length - STAMP_BYTES)
  }

  /** @returns a buffer that the next call for this kind writes over */
  write(kind: FrameKind, groupId: Uint8Array, epoch: number): Uint8Array<ArrayBuffer> {
    const frame = this.#frames[kind]
    const view = new DataView(frame.buffer)
    frame.set(groupId, GROUP_ID_AT)
    view.setBigUint64(EPOCH_AT, BigInt(epoch))
    view.setBigUint64(frame.length - COUNTER_BYTES, ++this.#count)
    return frame
  }
}

/** What tells a frame from all others: its last bytes, in hex. */
export function stampOf(frame: Uint8Array): string {
  return Buffer.from(frame.buffer, frame.byteOffset + frame.length - STAMP_BYTES, STAMP_BYTES).toString('hex')
}
