/** The error names given to `expectError` in a test's source, in order. */
export function expectedErrors(source: string): string[] {
  return source
    .split('expectError(')
    .slice(1)
    .flatMap((rest) => /,\s*'([A-Z]\w+)'/.exec(callArguments(rest))?.[1] ?? [])
}

/** The text up to the parenthesis that closes the call. */
function callArguments(rest: string): string {
  let depth = 1
  for (let at = 0; at < rest.length; at++) {
    if (rest[at] === '(') depth++
    if (rest[at] === ')' && --depth === 0) return rest.slice(0, at)
  }
  return rest
}
