type Matcher = { label: string; operator: '=' | '!=' | '=~' | '!~'; value: string }

/** What an expression asks for: its series, and the labels that it groups or joins by. */
export type Asked = { selectors: Selector[]; labels: string[] }
export type Selector = { metric: string; matchers: Matcher[] }

const GROUPING = /^(by|without|on|ignoring|group_left|group_right)$/
const OPERATOR = /^(and|or|unless|bool|offset|inf|nan)$/i
const TOKEN =
  /(?<text>"(?:[^"\\]|\\.)*"|'[^']*')|(?<number>\d[\w.]*(?:(?<=e)[-+]\d+)?)|(?<name>[a-zA-Z_:][\w:]*)|(?<range>\[[^\]]*\])/g
const MATCHER = /(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"/g

/** Reads the selectors out of an expression that Prometheus has accepted; braces stand only behind a name. */
export function asked(expression: string): Asked {
  const found: Asked = { selectors: [], labels: [] }
  let end = 0
  for (const { 0: token, index, groups } of expression.matchAll(TOKEN)) {
    if (index < end || groups?.name === undefined) continue
    end = index + token.length
    const rest = expression.slice(end)
    if (GROUPING.test(token)) {
      const list = /^\s*\(([^)]*)\)/.exec(rest)
      found.labels.push(...(list?.[1]?.split(',').map((label) => label.trim()) ?? []).filter(Boolean))
      end += list?.[0].length ?? 0
    } else if (!OPERATOR.test(token) && !/^\s*(\(|(by|without)\b)/.test(rest)) {
      const braces = /^\s*\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\}/.exec(rest)
      found.selectors.push({ metric: token, matchers: matchersOf(braces?.[1] ?? '') })
      end += braces?.[0].length ?? 0
    }
  }
  return found
}

function matchersOf(text: string): Matcher[] {
  return Array.from(text.matchAll(MATCHER), ([, label, operator, value]) => ({
    label: label!,
    operator: operator as Matcher['operator'],
    value: value!,
  }))
}

/** Whether the code says that a label may have this value, so that no series has to show it. */
export type IsKnown = (label: string, value: string) => boolean

/**
 * The selectors that must all have series for this one to mean something: one for each alternative of `a|b`, and for
 * what is excluded the label itself, since without it nothing would be excluded.
 */
export function mustExist({ metric, matchers }: Selector, isKnown: IsKnown = () => false): string[] {
  const choices = matchers.map((matcher) => alternatives(matcher, isKnown))
  const combined = choices.reduce<string[][]>(
    (all, choice) => all.flatMap((before) => choice.map((one) => [...before, one])),
    [[]],
  )
  return combined.map((parts) => `${metric}{${parts.join(', ')}}`)
}

function alternatives({ label, operator, value }: Matcher, isKnown: IsKnown): string[] {
  const values = operator === '=~' && /^[\w-]+(\|[\w-]+)+$/.test(value) ? value.split('|') : []
  if (values.some((one) => !isKnown(label, one))) return values.map((one) => `${label}="${one}"`)
  const matcher = `${label}${operator}"${value}"`
  return operator.startsWith('!') ? [`${matcher}, ${label}!=""`] : [matcher]
}
