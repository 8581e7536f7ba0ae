import { FIGURES, type Figure, type ShardFigures } from './figures.ts'

/** Lines of more shards than that tell nobody anything. */
const MAX_LINES = 12
const SPREAD = ['lowest shard', 'median shard', 'highest shard'] as const

type Values = (number | null)[]

/** One moment: of the front, and of each figure a value for each line. */
export type Sample = {
  atMs: number
  frontUtilization: number
  frontHeap: number
  /** Mean time from a command to its answer, by executor. */
  actorMs: number | null
  directMs: number | null
  directPerS: number
  lines: Record<Figure, Values>
}

/** What a chart draws: `values[i]` belongs to `names[i]`, each with a value for each moment in `atMs`. */
type Chart = { names: string[]; values: Values[] }
type ChartName = Figure | 'answerMs'
export type Charts = {
  /** Ask for what comes after this one. */
  last: number
  atMs: number[]
  charts: Record<ChartName, Chart>
}

/** Samples of the last minutes, the oldest dropped. */
export class SampleHistory {
  readonly #shards: number
  readonly #max: number
  #samples: Sample[] = []
  /** Number of the newest; they count from 1. */
  #last = 0

  constructor(shards: number, max: number) {
    this.#shards = shards
    this.#max = max
  }

  get size(): number {
    return this.#samples.length
  }

  add(sample: Omit<Sample, 'lines'>, shards: readonly (ShardFigures | undefined)[]): void {
    const lines = Object.fromEntries(
      FIGURES.map((figure) => [figure, toLines(shards.map((figures) => figures?.[figure] ?? null))]),
    ) as Sample['lines']
    this.#samples.push({ ...sample, lines })
    if (this.#samples.length > this.#max) this.#samples.shift()
    this.#last++
  }

  /** Everything behind the sample of this number; everything when there is none of this number. */
  after(number: number): Charts {
    const missing = this.#last - number
    const samples =
      missing >= 0 && missing <= this.#max
        ? this.#samples.slice(-missing || this.#samples.length)
        : this.#samples
    return { last: this.#last, atMs: samples.map(({ atMs }) => atMs), charts: this.#charts(samples) }
  }

  #charts(samples: readonly Sample[]): Charts['charts'] {
    const names =
      this.#shards > MAX_LINES ? [...SPREAD] : Array.from({ length: this.#shards }, (_, i) => `shard ${i}`)
    const chart = (figure: Figure): Chart => ({
      names: [...names],
      values: names.map((_, i) => samples.map(({ lines }) => lines[figure][i] ?? null)),
    })
    const add = (to: Chart, name: string, value: (sample: Sample) => number | null): Chart => ({
      names: [name, ...to.names],
      values: [samples.map(value), ...to.values],
    })
    return {
      utilization: add(chart('utilization'), 'front', ({ frontUtilization }) => frontUtilization),
      commandsPerS: add(chart('commandsPerS'), 'direct', ({ directPerS }) => directPerS),
      answerMs: {
        names: ['actors', 'direct'],
        values: [samples.map(({ actorMs }) => actorMs), samples.map(({ directMs }) => directMs)],
      },
      mailbox: chart('mailbox'),
      actors: chart('actors'),
      batchRows: chart('batchRows'),
      batchMs: chart('batchMs'),
      heap: add(chart('heap'), 'front', ({ frontHeap }) => frontHeap),
    }
  }
}

function toLines(values: Values): Values {
  if (values.length <= MAX_LINES) return values
  const known = values.filter((value) => value !== null).sort((a, b) => a - b)
  return [known.at(0) ?? null, known[known.length >> 1] ?? null, known.at(-1) ?? null]
}
