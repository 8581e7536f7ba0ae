import { appendFileSync, createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

/** Where all servers of a test run log to, so that the run can look for what no log may hold. */
const PATH = process.env.TEST_LOG

/** What must never be in a log at level INFO or above. */
const SECRETS = {
  'a token': /eyJ[\w-]{10,}\.[\w-]{10,}\./,
  'a DID': /did:(plc|web|key):[\w.%:-]*\w/,
  // Identifiers and hashes are hexadecimal, of 128 digits at most.
  'bytes of a message': /(?=[A-Za-z0-9+/_-]*[G-Zg-z+/])[A-Za-z0-9+/_-]{100,}/,
} as const

/** Keeps a log line, JSON, for the check at the end of the run; DEBUG may say more. */
export function keepLogLine(line: string): void {
  if (PATH !== undefined && !/"level":"(DEBUG|TRACE)"/.test(line)) appendFileSync(PATH, `${line.trimEnd()}\n`)
}

/** Says what a line holds that it may not. The service's own DID is public. */
export function secretsIn(line: string, publicDids: readonly string[]): string[] {
  const text = publicDids.reduce((rest, did) => rest.replaceAll(did, ''), line)
  return Object.entries(SECRETS).flatMap(([what, pattern]) => (pattern.test(text) ? [what] : []))
}

/** Reads a whole run's log. `found`: one entry per offending line. */
export async function checkLog(
  path: string,
  publicDids: readonly string[],
): Promise<{ lines: number; found: string[] }> {
  const found: string[] = []
  let lines = 0
  for await (const line of createInterface({ input: createReadStream(path) })) {
    lines++
    const secrets = secretsIn(line, publicDids)
    if (secrets.length > 0) found.push(`${secrets.join(', ')}: ${line.slice(0, 500)}`)
  }
  return { lines, found }
}
