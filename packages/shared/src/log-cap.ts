import type { Clock } from './clock.ts'
import type { LogLine } from './shard-protocol.ts'

/** Lines of one kind per second: enough to follow a conversation, too few to fill a disk. */
const LINES_PER_SECOND = 20

/** Writes lines that come per activation or per epoch, and counts what it leaves out. */
export class LogCap {
  readonly #isDebug: boolean
  readonly #clock: Clock
  readonly #write: (line: LogLine) => void
  readonly #windows = new Map<string, { second: number; lines: number }>()

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
    const second = Math.floor(this.#clock.now() / 1000)
    const window = this.#windows.get(kind)
    if (window?.second !== second) {
      const suppressed = Math.max(0, (window?.lines ?? 0) - LINES_PER_SECOND)
      if (suppressed > 0) {
        this.#write({ level, message: 'Lines were suppressed', fields: { kind, suppressed } })
      }
      this.#windows.set(kind, { second, lines: 1 })
    } else if (++window.lines > LINES_PER_SECOND) {
      return
    }
    this.#write({ level, message, fields })
  }
}
