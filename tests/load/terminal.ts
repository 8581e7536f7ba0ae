import type { Bucket } from './log-buckets.ts'
import type { LoadReport } from './report.ts'
import type { Second } from './tally.ts'

const BAR = 48
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']
/** Rows of the histogram for each factor of ten. */
export const ROWS_PER_DECADE = 5

export function describeSecond(index: number, { offered, accepted, refused, errors, p99 }: Second): string {
  const late = p99 === undefined ? 'no answer' : `p99 ${duration(p99)}`
  return (
    `${String(index).padStart(5)} s  offered ${pad(offered)}  accepted ${pad(accepted)}  ` +
    `refused ${pad(refused)}  errors ${pad(errors)}  ${late}`
  )
}

export function describeReport(report: LoadReport, rows: Bucket[]): string {
  const { deliveries } = report
  const facts: [string, string][] = [
    ['offered', count(report.offered)],
    [
      'accepted',
      `${count(report.accepted)}  (${report.throughput.toFixed(1)}/s)${counts(report.operations)}`,
    ],
    ['expected refusals', total(report.expectedRefusals)],
    ['errors', total(report.errors)],
    ['latency', percentiles(report.latencyMs)],
    ['longest without answer', duration(report.longestWithoutAnswerMs)],
  ]
  if (Object.keys(report.repeated).length > 0) facts.push(['asked again after', total(report.repeated)])
  if (deliveries) {
    const { expected, streams, missing } = deliveries
    facts.push(['events at readers', `${count(expected)} on ${streams} streams, ${missing} missing`])
    facts.push(['acknowledged → event', percentiles(deliveries)])
  }
  return [
    `${describeLoad(report)}, ${report.seconds.toFixed(1)} s, ${report.url}`,
    '',
    ...facts.map(([name, value]) => `  ${name.padEnd(24)}${value}`),
    '',
    ...chart(rows),
    ...report.notes.map((note) => `\n! ${note}`),
  ].join('\n')
}

export function describeLoad({ mode, ratePerSecond, arrivals, ...load }: LoadReport): string {
  const pace =
    ratePerSecond === undefined
      ? `closed loop of ${load.concurrency}`
      : `${ratePerSecond}/s, ${arrivals} arrivals`
  const convos = load.conversations === 1 ? '1 conversation' : `${load.conversations} conversations`
  return `${mode}: ${pace}, ${convos} of ${load.members} members`
}

/** One bar for each bucket, with its share. */
function chart(rows: Bucket[]): string[] {
  const all = rows.reduce((sum, row) => sum + row.count, 0)
  const most = Math.max(...rows.map((row) => row.count))
  return rows.map(({ fromMs, toMs, count }) => {
    const range = `${duration(fromMs).padStart(8)} – ${duration(toMs).padEnd(8)}`
    const share = `${((100 * count) / all).toFixed(1)} %`.padStart(8)
    return `  ${range} ${share}  ${bar((BAR * count) / most)}`
  })
}

function bar(width: number): string {
  const whole = Math.floor(width)
  const rest = EIGHTHS[Math.floor((width - whole) * 8)]!
  // What is there must be seen.
  return '█'.repeat(whole) + rest || (width > 0 ? '▏' : '')
}

export function percentiles({ p50, p95, p99, max }: Record<'p50' | 'p95' | 'p99' | 'max', number>): string {
  return `p50 ${duration(p50)}  p95 ${duration(p95)}  p99 ${duration(p99)}  max ${duration(max)}`
}

export function duration(ms: number): string {
  if (ms >= 1000) return `${Number((ms / 1000).toPrecision(3))} s`
  return `${Number(ms.toPrecision(ms < 1 ? 2 : 3))} ms`
}

/** Such as `12  (Overloaded 10, Timeout 2)`. */
export function total(byName: Record<string, number>): string {
  const all = Object.values(byName).reduce((sum, n) => sum + n, 0)
  return `${count(all)}${counts(byName)}`
}

function counts(byName: Record<string, number>): string {
  const entries = Object.entries(byName).sort(([, a], [, b]) => b - a)
  return entries.length === 0 ? '' : `  (${entries.map(([name, n]) => `${name} ${count(n)}`).join(', ')})`
}

function count(n: number): string {
  return n.toLocaleString('en').replaceAll(',', ' ')
}

function pad(n: number): string {
  return String(n).padEnd(6)
}
