import type { Scrape } from '../scrape.ts'

/** Of Prometheus itself. */
const OF_PROMETHEUS = ['up', 'ALERTS']
const LABELS_OF_PROMETHEUS = ['job', 'instance', 'le']

/** What a query names that the scraped server has not: series, and labels of series that have samples. */
export function unknownIn(query: string, scrape: Scrape): string[] {
  const series = seriesIn(query)
  const unknown = series.filter((name) => !isSeries(name, scrape))
  const samples = series.map((name) => scrape.find(name))
  // What has not happened yet has no samples that tell its labels.
  if (samples.some((some) => some.length === 0)) return unknown
  const labels = new Set([
    ...LABELS_OF_PROMETHEUS,
    ...samples.flat().flatMap((sample) => Object.keys(sample.labels)),
  ])
  return [...unknown, ...labelsIn(query).filter((label) => !labels.has(label))]
}

/** Names with what histograms make of them. */
export function isSeries(name: string, { types }: Scrape): boolean {
  const base = name.replace(/_(bucket|sum|count)$/, '')
  return types.has(name) || types.get(base) === 'histogram' || OF_PROMETHEUS.includes(name)
}

function seriesIn(query: string): string[] {
  const bare = query.replace(/\{[^}]*\}/g, '').replace(/\b(by|without|on|ignoring) ?\([^)]*\)/g, '')
  const names = Array.from(bare.matchAll(/\b[a-z]+(?:_[a-z0-9]+)+\b(?!\s*\()/g), ([name]) => name)
  return [...new Set(names)]
}

function labelsIn(query: string): string[] {
  const matched = Array.from(query.matchAll(/\{([^}]*)\}/g), ([, inside]) =>
    Array.from(inside!.matchAll(/(\w+) ?[=!]~?"/g), ([, label]) => label!),
  )
  const grouped = Array.from(query.matchAll(/\b(?:by|without|on|ignoring) ?\(([^)]*)\)/g), ([, inside]) =>
    inside!.split(',').map((label) => label.trim()),
  )
  return [...matched, ...grouped].flat().filter((label) => label !== '')
}
