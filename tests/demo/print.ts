/** Hex digits of a hash that the table shows: enough for the eye, two of them fit into 80 columns. */
const SHOWN_DIGITS = 24

export type Row = { name: string; epoch: number; epochAuthenticator?: string; logHash: string; note?: string }

let step = 0

/** A numbered heading, then lines that explain it. */
export function heading(title: string, ...lines: string[]): void {
  step++
  console.log(`\n${step}. ${title}`)
  say(...lines)
}

export function say(...lines: string[]): void {
  for (const line of lines) console.log(`   ${line}`)
}

export function printTable(rows: Row[]): void {
  const cells = rows.map(({ name, epoch, epochAuthenticator, logHash, note = '' }) => [
    name,
    String(epoch),
    epochAuthenticator === undefined ? 'has no keys' : shorten(epochAuthenticator),
    shorten(logHash),
    note,
  ])
  const lines = [['', 'epoch', 'epoch authenticator', 'logHash', ''], ...cells]
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  for (const line of lines)
    say(
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
}

function shorten(hex: string): string {
  return `${hex.slice(0, SHOWN_DIGITS)}…`
}
