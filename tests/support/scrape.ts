/** One line of a scrape. */
export type Sample = { name: string; labels: Record<string, string>; value: number }

/** A scrape of /metrics, to be asked for values. */
export class Scrape {
  readonly text: string
  readonly samples: Sample[]

  constructor(text: string) {
    this.text = text
    this.samples = text
      .split('\n')
      .filter((line) => line && !line.startsWith('#'))
      .map(parseLine)
  }

  static async of(url: string): Promise<Scrape> {
    const response = await fetch(`${url}/metrics`)
    if (!response.ok) throw new Error(`/metrics answered ${response.status}`)
    return new Scrape(await response.text())
  }

  /** Sum of the samples of this name that have these labels. */
  value(name: string, labels: Record<string, string> = {}): number {
    return this.find(name, labels).reduce((sum, { value }) => sum + value, 0)
  }

  find(name: string, labels: Record<string, string> = {}): Sample[] {
    const wanted = Object.entries(labels)
    return this.samples.filter(
      (sample) => sample.name === name && wanted.every(([key, value]) => sample.labels[key] === value),
    )
  }

  /** Names and types by their TYPE lines. */
  get types(): Map<string, string> {
    return new Map(
      Array.from(this.text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name, type]) => [name!, type!]),
    )
  }

  /** Counters, and the sums and counts of histograms, by name and labels: what must never go back. */
  get counts(): Map<string, number> {
    const types = this.types
    const isCount = ({ name }: Sample) =>
      types.get(name) === 'counter' || types.get(name.replace(/_(bucket|count|sum)$/, '')) === 'histogram'
    return new Map(
      this.samples
        .filter(isCount)
        .map(({ name, labels, value }) => [`${name} ${JSON.stringify(labels)}`, value]),
    )
  }
}

function parseLine(line: string): Sample {
  const [, name = '', labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line) ?? []
  const pairs = Array.from(labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g), ([, key, text]) => [key!, text!])
  return { name, labels: Object.fromEntries(pairs), value: Number(value) }
}
