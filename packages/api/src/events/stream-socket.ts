import type { Socket } from 'node:net'

/** How long the peer has to take what was sent before the end. */
export const LAST_READING_MS = 5000
const NOTHING = Buffer.alloc(0)

/** What both transports do alike with the socket below them. Nothing here throws, whatever state that is in. */
export class StreamSocket {
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
    // Nobody follows a stream who has closed the way back.
    socket.once('end', () => socket.destroy())
  }

  get isOpen(): boolean {
    return this.#socket.writable
  }

  /** All that the kernel has not taken: its buffer is the first to fill when the peer does not read. */
  get backlog(): number {
    return this.#socket.writableLength
  }

  /** Lets `write` put each frame into the socket; they leave in one go. */
  send(frames: readonly Buffer[], write: (frame: Buffer) => void): void {
    if (!this.isOpen) return
    this.#socket.cork()
    for (const frame of frames) write(frame)
    this.#socket.uncork()
  }

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

  end(last?: Buffer): void {
    if (!this.isOpen) return
    this.#socket.end(last ?? NOTHING)
    setTimeout(() => this.#socket.destroy(), LAST_READING_MS).unref()
  }
}
