import { withDeadline } from '@catbird/shared/sql'
import type { Logger } from 'pino'

const RUN_MS = 60_000

/** When the first run begins; and a run that takes longer than `runMs` is given up, so that the next one can try. */
type Times = { firstMs?: number; runMs?: number }

/** Runs a job again and again, never twice at once; a failure is logged and the next run comes as usual. */
export class Scheduler {
  #timer: NodeJS.Timeout
  #running: Promise<void> | undefined

  constructor(
    name: string,
    everyMs: number,
    log: Logger,
    job: () => Promise<unknown>,
    { firstMs = everyMs, runMs = RUN_MS }: Times = {},
  ) {
    const run = () => {
      this.#running ??= withDeadline(job(), runMs, () => new Error('deadline'))
        .then(() => {})
        .catch((error) => log.warn({ err: error, job: name }, 'Job failed'))
        .finally(() => {
          this.#running = undefined
        })
    }
    this.#timer = setTimeout(() => {
      this.#timer = setInterval(run, everyMs)
      run()
    }, firstMs)
  }

  /** Resolves when the run on its way has ended, or at the deadline (Unix ms). */
  async stop(deadlineMs: number): Promise<void> {
    clearInterval(this.#timer)
    if (!this.#running) return
    await withDeadline(this.#running, deadlineMs - Date.now(), () => new Error('deadline')).catch(() => {})
  }
}
