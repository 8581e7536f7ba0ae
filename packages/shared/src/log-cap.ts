import type { Clock } from './clock.ts'
import type { LogLine } from './shard-protocol.ts'

/** Lines of one kind per second: enough to follow a conversation, too few to fill a disk. */
const LINES_PER_SECOND = 20
const SECOND_MS = 1000

type Window = { second: number; lines: number }

/** Writes lines that come per activation or per epoch, and counts what it leaves out. */
export class LogCap {
  readonly #isDebug: boolean
  readonly #clock: Clock
  readonly #write: (line: LogLine) => void
  readonly #windows = new Map<string, Window>()

  /** @param isDebug whether lines at the level debug are wanted */
  constructor(clock: Clock, write: (line: LogLine) => void, isDebug = false) {
    this.#isDebug = isDebug
    this.#clock = clock
    this.#write = write
  }

  /** At the level debug nothing is left out: whoever follows a request needs each of its lines. */
  debug(message: string, fields: LogLine['fields']): void {
    if (this.#isDebug) this.#write({ level: 'debug', message, fields })
  }

  line(kind: string, level: LogLine['level'], message: string, fields: LogLine['fields']): void {
    const second = Math.floor(this.#clock.now() / SECOND_MS)
    let window = this.#windows.get(kind)
    if (window?.second !== second) {
      window = { second, lines: 0 }
      this.#windows.set(kind, window)
    }
    window.lines++
    if (window.lines <= LINES_PER_SECOND) this.#write({ level, message, fields })
    // Told when the second is over, also when nothing of the kind comes after it.
    else if (window.lines === LINES_PER_SECOND + 1) void this.#tellSuppressed(kind, level, window)
  }

  async #tellSuppressed(kind: string, level: LogLine['level'], window: Window): Promise<void> {
    await this.#clock.sleep(SECOND_MS)
    const suppressed = window.lines - LINES_PER_SECOND
    this.#write({ level, message: 'Lines were suppressed', fields: { kind, suppressed } })
  }
}
