import type { LoadReport } from './report.ts'
import { type Box, line, linear, linearTicks, logarithmic, logTicks, path, tag, text } from './svg.ts'
import type { Second } from './tally.ts'
import { describeLoad, duration, percentiles, total } from './terminal.ts'

const WIDTH = 960
const HEIGHT = 800
const LEFT = 76
const PLOT_WIDTH = WIDTH - LEFT - 32
const DISTRIBUTION: Box = { left: LEFT, top: 184, width: PLOT_WIDTH, height: 190 }
const LATENCY: Box = { left: LEFT, top: 450, width: PLOT_WIDTH, height: 160 }
const RATE: Box = { left: LEFT, top: 680, width: PLOT_WIDTH, height: 76 }

const COLOR = {
  ink: '#1c2530',
  soft: '#5b6875',
  grid: '#e4e8ec',
  bar: '#4a7fb5',
  p50: '#3c7a4e',
  p95: '#b58a1b',
  p99: '#c2571a',
  max: '#a4303f',
} as const

/** Above the highest bar or curve. */
const HEADROOM = 1.08
/** Keeps labels readable that lie on lines. */
const HALO = { 'paint-order': 'stroke', stroke: '#ffffff', 'stroke-width': 4, 'stroke-linejoin': 'round' }
/** More points than that cannot be told apart. */
const MAX_POINTS = 240

/** A picture of a run: how the latencies are distributed, and latency and rate over time. */
export function reportSvg(report: LoadReport): string {
  const parts = [
    tag('rect', { width: WIDTH, height: HEIGHT, fill: '#ffffff' }),
    ...heading(report),
    ...distribution(report),
    ...latencyOverTime(report.timeline),
    ...rateOverTime(report.timeline),
  ]
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    width: WIDTH,
    height: HEIGHT,
    'font-family': 'system-ui, "Segoe UI", "DejaVu Sans", sans-serif',
    'font-size': 12,
    fill: COLOR.soft,
  }
  return `${tag('svg', attributes, `\n${parts.join('\n')}\n`)}\n`
}

function heading(report: LoadReport): string[] {
  const { latencyMs, longestWithoutAnswerMs } = report
  const facts = [
    `${report.seconds.toFixed(1)} s`,
    `accepted ${report.throughput.toFixed(1)}/s`,
    `errors ${total(report.errors)}`,
  ]
  const times = [percentiles(latencyMs), `longest without an answer ${duration(longestWithoutAnswerMs)}`]
  return [
    text(LEFT, 40, `Load, ${describeLoad(report)}`, { 'font-size': 19, 'font-weight': 600, fill: COLOR.ink }),
    text(LEFT, 62, facts.join(' · ')),
    text(LEFT, 80, times.join(' · ')),
  ]
}

function distribution({ histogram, latencyMs }: LoadReport): string[] {
  const { left, top, width, height } = DISTRIBUTION
  const bottom = top + height
  const title = panelTitle(DISTRIBUTION, 'How long requests took, from when they were due', 64)
  if (histogram.length === 0) return [title, text(left, top + 40, 'Nothing was answered.')]
  const from = decadeBelow(histogram[0]!.fromMs)
  const to = decadeAbove(histogram.at(-1)!.toMs)
  const x = logarithmic(from, to, left, left + width)
  const all = histogram.reduce((sum, bucket) => sum + bucket.count, 0)
  const most = (100 * Math.max(...histogram.map((bucket) => bucket.count))) / all
  const y = linear(0, HEADROOM * most, bottom, top)
  const bars = histogram.map(({ fromMs, toMs, count }) => {
    const barTop = y((100 * count) / all)
    const attributes = { x: x(fromMs) + 0.5, y: barTop, width: Math.max(1, x(toMs) - x(fromMs) - 1) }
    return count === 0
      ? ''
      : tag('rect', { ...attributes, height: Math.max(1, bottom - barTop), fill: COLOR.bar })
  })
  return [
    title,
    ...linearTicks(most, 4).map((tick) => rowLine(DISTRIBUTION, y(tick), `${tick} %`)),
    ...logTicks(from, to).map((tick) => columnLine(DISTRIBUTION, x(tick), duration(tick))),
    ...bars,
    ...markers(latencyMs, x),
  ]
}

/** Labels lie one below the other, so that none hides another, and on top of all lines. */
function markers(latencyMs: LoadReport['latencyMs'], x: (ms: number) => number): string[] {
  const { left, top, width, height } = DISTRIBUTION
  const names = ['p50', 'p95', 'p99', 'max'] as const
  const labelY = (i: number) => top - 42 + i * 15
  const lines = names.map((name, i) => {
    const at = x(latencyMs[name])
    return line(at, labelY(i) - 10, at, top + height, { stroke: COLOR[name], 'stroke-width': 1.5 })
  })
  const labels = names.map((name, i) => {
    const at = x(latencyMs[name])
    const isRight = at > left + width - 110
    const style = { ...HALO, fill: COLOR[name], 'font-weight': 600, 'text-anchor': isRight ? 'end' : 'start' }
    return text(at + (isRight ? -5 : 5), labelY(i), `${name} ${duration(latencyMs[name])}`, style)
  })
  return [...lines, ...labels]
}

function latencyOverTime(timeline: readonly Second[]): string[] {
  const { left, top, width, height } = LATENCY
  const title = panelTitle(LATENCY, 'Latency over time')
  const points = thin(timeline)
  const highest = points.map(({ max }) => max).filter((max) => max !== undefined)
  const lowest = points.map(({ p50 }) => p50).filter((p50) => p50 !== undefined)
  if (highest.length === 0) return [title, text(left, top + 40, 'No whole second was measured.')]
  const [from, to] = [decadeBelow(Math.min(...lowest)), decadeAbove(Math.max(...highest))]
  const y = logarithmic(from, to, top + height, top)
  const x = linear(0, timeline.length, left, left + width)
  const curve = (name: 'p50' | 'p99' | 'max', width: number) =>
    path(
      points.map((point) => (point[name] === undefined ? undefined : [x(point.at), y(point[name])])),
      { stroke: COLOR[name], 'stroke-width': width, 'stroke-linejoin': 'round', 'stroke-linecap': 'round' },
    )
  return [
    title,
    ...legend(LATENCY, [
      ['p50', COLOR.p50],
      ['p99', COLOR.p99],
      ['max', COLOR.max],
    ]),
    ...logTicks(from, to).map((tick) => rowLine(LATENCY, y(tick), duration(tick))),
    ...linearTicks(timeline.length, 10).map((tick) => columnLine(LATENCY, x(tick), `${tick} s`)),
    curve('max', 1),
    curve('p99', 1.75),
    curve('p50', 1.75),
  ]
}

function rateOverTime(timeline: readonly Second[]): string[] {
  const { left, top, width, height } = RATE
  const title = panelTitle(RATE, 'Requests per second')
  const points = thin(timeline)
  if (points.length === 0) return [title]
  const most = Math.max(1, ...points.flatMap(({ offered, accepted, errors }) => [offered, accepted, errors]))
  const y = linear(0, HEADROOM * most, top + height, top)
  const x = linear(0, timeline.length, left, left + width)
  const curve = (name: 'offered' | 'accepted' | 'errors', stroke: string) =>
    path(
      points.map((point) => [x(point.at), y(point[name])]),
      { stroke, 'stroke-width': 1.5 },
    )
  return [
    title,
    ...legend(RATE, [
      ['offered', COLOR.soft],
      ['accepted', COLOR.bar],
      ['errors', COLOR.max],
    ]),
    ...linearTicks(most, 3).map((tick) => rowLine(RATE, y(tick), String(tick))),
    ...linearTicks(timeline.length, 10).map((tick) => columnLine(RATE, x(tick), `${tick} s`)),
    curve('offered', COLOR.soft),
    curve('accepted', COLOR.bar),
    curve('errors', COLOR.max),
  ]
}

type Point = Second & { at: number }

/** Few enough points to be seen; of several seconds the worst latency counts, and the mean rate. */
function thin(timeline: readonly Second[]): Point[] {
  const size = Math.ceil(timeline.length / MAX_POINTS) || 1
  return Array.from({ length: Math.ceil(timeline.length / size) }, (_, i) => {
    const seconds = timeline.slice(i * size, (i + 1) * size)
    const worst = (name: 'p50' | 'p99' | 'max') => {
      const values = seconds.map((second) => second[name]).filter((value) => value !== undefined)
      return values.length === 0 ? undefined : Math.max(...values)
    }
    const mean = (name: 'offered' | 'accepted' | 'refused' | 'errors') =>
      seconds.reduce((sum, second) => sum + second[name], 0) / seconds.length
    return {
      at: i * size + seconds.length / 2,
      offered: mean('offered'),
      accepted: mean('accepted'),
      refused: mean('refused'),
      errors: mean('errors'),
      p50: worst('p50'),
      p99: worst('p99'),
      max: worst('max'),
    }
  })
}

function panelTitle({ left, top }: Box, content: string, above = 14): string {
  return text(left, top - above, content, { 'font-weight': 600, 'font-size': 13, fill: COLOR.ink })
}

function legend({ left, top, width }: Box, entries: [string, string][]): string[] {
  return entries.flatMap(([name, color], i) => {
    const x = left + width - (entries.length - i) * 96 + 20
    return [
      line(x, top - 18, x + 18, top - 18, { stroke: color, 'stroke-width': 2 }),
      text(x + 24, top - 14, name),
    ]
  })
}

function rowLine({ left, width }: Box, y: number, label: string): string {
  const grid = line(left, y, left + width, y, { stroke: COLOR.grid })
  return grid + text(left - 8, y + 4, label, { 'text-anchor': 'end' })
}

function columnLine({ top, height }: Box, x: number, label: string): string {
  const grid = line(x, top, x, top + height, { stroke: COLOR.grid })
  return grid + text(x, top + height + 18, label, { 'text-anchor': 'middle' })
}

/** Ends of an axis: a 1, 2 or 5 of a decade, so that a label is there. */
function decadeBelow(ms: number): number {
  return snap(ms, [5, 2, 1], (limit) => limit <= ms * 1.0001)
}

function decadeAbove(ms: number): number {
  return snap(ms, [1, 2, 5, 10], (limit) => limit >= ms * 0.9999)
}

function snap(ms: number, steps: readonly number[], fits: (limit: number) => boolean): number {
  const decade = 10 ** Math.floor(Math.log10(Math.max(ms, 0.01)))
  const limits = steps.map((step) => Number((step * decade).toPrecision(1)))
  return limits.find(fits) ?? limits.at(-1)!
}
