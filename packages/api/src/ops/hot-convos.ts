import type { Clock } from '@catbird/shared/clock'

const WINDOW_MS = 5000
const WINDOWS = 12
/** Counters kept in a window after a purge; before it, twice as many. */
const KEPT = 200

export type HotConvo = {
  convoId: string
  /** Commands in the last minute, counted; at least so many came. */
  commands: number
  /** At most so many came: differs where counters had to be given up. */
  atMost: number
}

/**
 * The conversations with the most commands in the last minute, in bounded memory however many there are: windows of five
 * seconds, in each of which the smaller half of the counters is given up when there are too many. What is given up is
 * taken from all, so that a count is never too high, and too low by no more than the window's `lost`.
 */
export class HotConvos {
  readonly #clock: Clock
  readonly #kept: number
  #windows: Window[] = []

  constructor(clock: Clock, kept = KEPT) {
    this.#clock = clock
    this.#kept = kept
  }

  /** Counters in memory. */
  get size(): number {
    return this.#windows.reduce((sum, { counts }) => sum + counts.size, 0)
  }

  count(convoId: string): void {
    const window = this.#current()
    window.counts.set(convoId, (window.counts.get(convoId) ?? 0) + 1)
    if (window.counts.size > 2 * this.#kept) purge(window, this.#kept)
  }

  /** The hottest first. */
  top(max: number): HotConvo[] {
    const sinceMs = this.#clock.now() - WINDOWS * WINDOW_MS
    const windows = this.#windows.filter(({ startedAtMs }) => startedAtMs > sinceMs)
    const totals = new Map<string, number>()
    for (const { counts } of windows) {
      for (const [convoId, count] of counts) totals.set(convoId, (totals.get(convoId) ?? 0) + count)
    }
    const lost = windows.reduce((sum, window) => sum + window.lost, 0)
    return [...totals]
      .sort(([, a], [, b]) => b - a)
      .slice(0, max)
      .map(([convoId, commands]) => ({ convoId, commands, atMost: commands + lost }))
  }

  #current(): Window {
    const nowMs = this.#clock.now()
    const newest = this.#windows.at(-1)
    if (newest && nowMs >= newest.startedAtMs && nowMs < newest.startedAtMs + WINDOW_MS) return newest
    const window = { startedAtMs: nowMs, counts: new Map<string, number>(), lost: 0 }
    this.#windows = [...this.#windows, window].slice(-WINDOWS)
    return window
  }
}

type Window = { startedAtMs: number; counts: Map<string, number>; lost: number }

/** Takes the count of the largest counter that must go from all; those that have nothing left go. */
function purge(window: Window, kept: number): void {
  const cut = [...window.counts.values()].sort((a, b) => b - a)[kept]!
  window.lost += cut
  for (const [convoId, count] of window.counts) {
    if (count > cut) window.counts.set(convoId, count - cut)
    else window.counts.delete(convoId)
  }
}
