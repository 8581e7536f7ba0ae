import { ERROR_STATUS } from '@catbird/shared/errors'
import type { PrometheusProcess, Sample } from './prometheus-process.ts'
import { asked, mustExist } from './promql.ts'

/** What is wrong with the series that an expression names: those that do not exist, and labels that none of them has. */
export async function missingSeries(prometheus: PrometheusProcess, expression: string): Promise<string[]> {
  const { selectors, labels } = asked(expression)
  const wrong = selectors.length > 0 ? [] : [`${expression} asks for nothing`]
  const known = new Set<string>()
  for (const selector of selectors.flatMap((one) => mustExist(one, isErrorName))) {
    const series = await prometheus.series(selector)
    if (series.length === 0) wrong.push(`no series is ${selector}`)
    for (const label of series.flatMap((one) => Object.keys(one))) known.add(label)
  }
  return [...wrong, ...labels.filter((label) => !known.has(label)).map((label) => `no series has ${label}`)]
}

/** A load that is met by every error there is would be another test. */
function isErrorName(label: string, value: string): boolean {
  return (label === 'error' || label === 'outcome') && Object.hasOwn(ERROR_STATUS, value)
}

export type Shown = { expr: string; legendFormat: string }

/** What is wrong with what a panel would show now: nothing at all, no numbers, or a legend without its labels. */
export async function wrongData(prometheus: PrometheusProcess, shown: Shown): Promise<string[]> {
  const { result } = await prometheus.query(shown.expr)
  if (result.length === 0) return [`${shown.expr} shows nothing`]
  return [...new Set(result.flatMap((sample) => wrongSample(sample, shown)))]
}

function wrongSample({ metric, value }: Sample, { expr, legendFormat }: Shown): string[] {
  const labels = Array.from(legendFormat.matchAll(/\{\{\s*(\w+)\s*\}\}/g), ([, label]) => label!)
  const wrong = labels.filter((label) => !metric[label]).map((label) => `${expr} has no label ${label}`)
  if (!Number.isFinite(Number(value[1]))) wrong.push(`${expr} is ${value[1]} for ${JSON.stringify(metric)}`)
  return wrong
}
