import { withDeadline } from '@catbird/shared/sql'
import type { Logger } from 'pino'

const RUN_MS = 60_000

/** Runs a job again and again, never twice at once; a failure is logged and the next run comes as usual. */
export class Scheduler {
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | undefined

  /** @param runMs a run that takes longer is given up, so that the next one can try */
  constructor(name: string, everyMs: number, log: Logger, job: () => Promise<unknown>, runMs = RUN_MS) {
    this.#timer = setInterval(() => {
      this.#running ??= withDeadline(job(), runMs, () => new Error('deadline'))
        .then(() => {})
        .catch((error) => log.warn({ err: error, job: name }, 'Job failed'))
        .finally(() => {
          this.#running = undefined
        })
    }, everyMs)
  }

  /** Resolves when the run on its way has ended, or at the deadline (Unix ms). */
  async stop(deadlineMs: number): Promise<void> {
    clearInterval(this.#timer)
    if (!this.#running) return
    await withDeadline(this.#running, deadlineMs - Date.now(), () => new Error('deadline')).catch(() => {})
  }
}
