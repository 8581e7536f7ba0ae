import type { Logger } from 'pino'

/** Runs a job again and again, never twice at once; a failure is logged and the next run comes as usual. */
export class Scheduler {
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | undefined

  constructor(name: string, everyMs: number, log: Logger, job: () => Promise<void>) {
    this.#timer = setInterval(() => {
      this.#running ??= job()
        .catch((error) => log.warn({ err: error, job: name }, 'Job failed'))
        .finally(() => {
          this.#running = undefined
        })
    }, everyMs)
  }

  /** Resolves when the run on its way has ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }
}
