import { setImmediate as nextTurn } from 'node:timers/promises'
import { systemClock } from '@catbird/shared/clock'
import { build } from 'hdr-histogram-js'

/** How well the generator itself kept up. */
export type PaceReport = {
  /** By how much the generator sent later than due although it was free to send. */
  lateP99Ms: number
  lateMaxMs: number
  /** Whether as many requests as allowed were under way, so that others had to wait to be sent. */
  wasFull: boolean
  /** Due, and never sent, because the time was up. */
  unsent: number
}

/** @param dueMs in the time of performance.now() */
export type Fire = (dueMs: number) => Promise<void>

export type OpenLoop = {
  /** In ms from the start. */
  arrivals: Iterable<number>
  /** Most requests under way. */
  atOnce: number
  fire: Fire
  /** What is due after that is not sent. */
  signal: AbortSignal
}

/** Sent in one go before others get their turn. */
const BURST = 64

/**
 * Sends each request when it is due, whatever became of those before: a server that stalls gets the requests that real
 * callers would have made meanwhile, and each is measured from when it was due. Resolves when all have been answered.
 */
export async function runOpenLoop({ arrivals, atOnce, fire, signal }: OpenLoop): Promise<PaceReport> {
  const late = build()
  const slots = new Slots(atOnce)
  const startedMs = performance.now()
  let unsent = 0
  let sent = 0
  let fault: unknown
  for (const arrivalMs of arrivals) {
    const dueMs = startedMs + arrivalMs
    await waitUntil(dueMs, signal)
    if (fault !== undefined || (signal.aborted && dueMs > performance.now())) break
    const taken = await slots.take(signal)
    if (taken === 'none') {
      unsent++
      continue
    }
    if (taken === 'at once') late.recordValue(toMicroseconds(performance.now() - dueMs))
    fire(dueMs)
      .catch((error: unknown) => {
        fault = error
      })
      .finally(() => slots.giveBack())
    if (++sent % BURST === 0) await nextTurn()
  }
  await slots.allBack()
  if (fault !== undefined) throw fault
  const [lateP99Ms, lateMaxMs] = [late.getValueAtPercentile(99) / 1000, late.maxValue / 1000]
  return { lateP99Ms, lateMaxMs, wasFull: slots.wereAllTaken, unsent }
}

/** So many callers, each of which sends its next request when the last one is answered. */
export async function runClosedLoop(callers: number, fire: Fire, signal: AbortSignal): Promise<void> {
  const caller = async (): Promise<void> => {
    while (!signal.aborted) await fire(performance.now())
  }
  await Promise.all(Array.from({ length: callers }, caller))
}

async function waitUntil(dueMs: number, signal: AbortSignal): Promise<void> {
  for (let leftMs = dueMs - performance.now(); leftMs > 0; leftMs = dueMs - performance.now()) {
    if (signal.aborted) return
    await systemClock.sleep(Math.min(leftMs, LONGEST_SLEEP_MS))
  }
}

/** So that an end is noticed. */
const LONGEST_SLEEP_MS = 100

/** Room for requests that are under way. */
class Slots {
  readonly #count: number
  #free: number
  #onFree: (() => void) | undefined
  wereAllTaken = false

  constructor(count: number) {
    this.#count = count
    this.#free = count
  }

  /** Waits for one, but not after being told to stop. */
  async take(signal: AbortSignal): Promise<'at once' | 'later' | 'none'> {
    if (this.#free > 0) {
      this.#free--
      return 'at once'
    }
    this.wereAllTaken = true
    while (this.#free === 0 && !signal.aborted) await this.#change()
    if (this.#free === 0) return 'none'
    this.#free--
    return 'later'
  }

  giveBack(): void {
    this.#free++
    this.#onFree?.()
  }

  async allBack(): Promise<void> {
    while (this.#free < this.#count) await this.#change()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LONGEST_SLEEP_MS)
      this.#onFree = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

export function toMicroseconds(ms: number): number {
  return Math.max(0, Math.round(ms * 1000))
}
