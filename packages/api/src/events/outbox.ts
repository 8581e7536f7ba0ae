import type { Socket } from 'node:net'

/** How long the peer has to take what was sent before the end. */
export const LAST_READING_MS = 5000
/** What is handed to the socket at once: it tells no progress within. */
const PIECE_BYTES = 64 * 1024
const NOTHING = Buffer.alloc(0)

/** Frames that wait for some reader. A frame that waits for many counts once. */
class WaitingFrames {
  readonly #readers = new Map<Buffer, number>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  add(frame: Buffer): void {
    const readers = this.#readers.get(frame) ?? 0
    this.#readers.set(frame, readers + 1)
    if (readers === 0) this.#bytes += frame.length
  }

  remove(frame: Buffer): void {
    const readers = this.#readers.get(frame)! - 1
    if (readers > 0) this.#readers.set(frame, readers)
    else if (this.#readers.delete(frame)) this.#bytes -= frame.length
  }
}

/** Of all outboxes of this process: what readers that do not keep up make it hold. */
export const waitingFrames = new WaitingFrames()

/** @param isLast nothing of the frame follows */
export type WritePiece = (piece: Buffer, isLast: boolean) => void

/**
 * The frames on their way to one reader. What fits leaves at once; the rest goes piece by piece, each when the one before
 * has left, so that a slow reader of a large frame can be told from one that does not read. Nothing here throws, whatever
 * state the socket is in.
 */
export class Outbox {
  readonly #socket: Socket
  readonly #write: WritePiece
  #queue: Buffer[] = []
  /** What of the first frame in the queue has been handed to the socket. */
  #offset = 0
  #queuedBytes = 0
  #isBusy = false
  #finish: (() => void) | undefined

  /** @param write puts a piece into the socket */
  constructor(socket: Socket, write: WritePiece) {
    this.#socket = socket
    this.#write = write
    // Nobody follows a stream who has closed the way back.
    socket.once('end', () => socket.destroy())
    socket.once('close', () => this.#forget())
  }

  get isOpen(): boolean {
    return this.#socket.writable && !this.#finish
  }

  /** Bytes that the kernel has not taken: its buffer is the first to fill when the peer does not read. */
  get backlog(): number {
    return this.#queuedBytes + this.#socket.writableLength
  }

  /** Of these, those of frames that have not begun to leave. */
  get waiting(): number {
    return this.#offset === 0 ? this.#queuedBytes : this.#queuedBytes - this.#queue[0]!.length + this.#offset
  }

  send(frames: readonly Buffer[]): void {
    if (!this.isOpen) return
    let bytes = this.backlog
    for (const { length } of frames) bytes += length
    if (this.#queue.length === 0 && bytes <= PIECE_BYTES) {
      this.#socket.cork()
      for (const frame of frames) this.#write(frame, true)
      this.#socket.uncork()
      return
    }
    for (const frame of frames) {
      waitingFrames.add(frame)
      this.#queue.push(frame)
      this.#queuedBytes += frame.length
    }
    this.#pump()
  }

  /** Calls back once, when the backlog is gone or the connection is. */
  whenDrained(then: () => void): void {
    if (!this.isOpen) this.onClose(then)
    // Not at once: whoever sends more then would never return while the peer keeps up.
    else if (this.backlog === 0) setImmediate(then)
    // The event `drain` comes only when there was more than the high-water mark.
    else this.#socket.write(NOTHING, () => this.whenDrained(then))
  }

  onClose(then: () => void): void {
    if (this.#socket.closed) setImmediate(then)
    else this.#socket.once('close', () => then())
  }

  /**
   * Sends the rest and calls back then, at the latest some seconds later cuts the connection.
   *
   * @param finish ends the connection
   */
  end(last: Buffer | undefined, finish: () => void): void {
    if (!this.isOpen) return
    if (last) this.send([last])
    this.#finish = finish
    setTimeout(() => this.#socket.destroy(), LAST_READING_MS).unref()
    if (this.#queue.length === 0) finish()
  }

  #pump(): void {
    if (this.#isBusy) return
    const room = PIECE_BYTES - this.#socket.writableLength
    if (room > 0) this.#fill(room)
    if (this.#queue.length > 0) {
      this.#isBusy = true
      this.#socket.write(NOTHING, () => {
        this.#isBusy = false
        if (this.#socket.writable) this.#pump()
      })
    } else this.#finish?.()
  }

  #fill(room: number): void {
    this.#socket.cork()
    for (let left = room; left > 0 && this.#queue.length > 0; ) {
      const frame = this.#queue[0]!
      const end = Math.min(frame.length, this.#offset + left)
      const piece = frame.subarray(this.#offset, end)
      this.#write(piece, end === frame.length)
      left -= piece.length
      this.#queuedBytes -= piece.length
      this.#offset = end
      if (end < frame.length) break
      waitingFrames.remove(frame)
      this.#queue.shift()
      this.#offset = 0
    }
    this.#socket.uncork()
  }

  #forget(): void {
    for (const frame of this.#queue) waitingFrames.remove(frame)
    this.#queue = []
    this.#queuedBytes = 0
    this.#offset = 0
  }
}
