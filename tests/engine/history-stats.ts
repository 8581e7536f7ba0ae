import type { HistoryResult } from './run-history.ts'

/** Counts over many histories, to see that the interesting things really happen. */
export class HistoryStats {
  histories = 0
  commands = 0
  steps = 0
  readonly #outcomes = new Map<string, Map<string, number>>()
  readonly #injected = new Map<string, number>()
  readonly #engine = new Map<string, number>()

  add({ world, injected }: HistoryResult): void {
    this.histories++
    this.commands += world.history.length
    this.steps += world.scheduler.time
    for (const { command, reply } of world.history) {
      const outcome = !reply ? 'no reply' : reply.ok ? 'accepted' : reply.refusal.error
      const outcomes = this.#outcomes.get(command.type) ?? new Map<string, number>()
      this.#outcomes.set(command.type, outcomes)
      increase(outcomes, outcome)
    }
    for (const failure of injected) increase(this.#injected, failure)
    for (const [what, n] of Object.entries(world.counts)) increase(this.#engine, what, n)
    for (const [what, n] of Object.entries(world.database.counts))
      increase(this.#engine, `database: ${what}`, n)
  }

  /** How often a command of some type came to this end. */
  outcomes(outcome: string): number {
    let sum = 0
    for (const outcomes of this.#outcomes.values()) sum += outcomes.get(outcome) ?? 0
    return sum
  }

  get injected(): number {
    return [...this.#injected.values()].reduce((a, b) => a + b, 0)
  }

  toString(): string {
    const lines = [...this.#outcomes].map(([type, outcomes]) => `  ${type}: ${listed(outcomes)}`)
    return [
      `${this.histories} histories, ${this.commands} commands, ${this.steps} steps`,
      ...lines.sort(),
      `  failures: ${listed(this.#injected)}`,
      `  engine: ${listed(this.#engine)}`,
    ].join('\n')
  }
}

function increase(counts: Map<string, number>, what: string, n = 1): void {
  counts.set(what, (counts.get(what) ?? 0) + n)
}

function listed(counts: Map<string, number>): string {
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([what, n]) => `${what} ${n}`)
    .join(', ')
}
