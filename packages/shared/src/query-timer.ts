import { Histogram, type Registry } from 'prom-client'

/** Measures how long the database takes; names are few and written in the code. */
export class QueryTimer {
  readonly #seconds: Histogram<'query'>

  constructor(registry: Registry) {
    this.#seconds = new Histogram({
      name: 'database_query_duration_seconds',
      help: 'Time from asking the database to its answer, a wait for a connection included; failures too.',
      labelNames: ['query'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers: [registry],
    })
  }

  async time<T>(query: string, run: () => Promise<T>): Promise<T> {
    const startedMs = performance.now()
    try {
      return await run()
    } finally {
      this.#seconds.observe({ query }, (performance.now() - startedMs) / 1000)
    }
  }
}
