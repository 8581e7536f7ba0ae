/** A rate limit of the server that refused requests. */
export type LimitHit = { setting: string; limit: number; windowS: number; refused: number }

/** What the server's refusals count, as they say it. */
const SETTINGS: Record<string, string> = {
  'messages from this caller': 'RATE_LIMIT_SEND',
  'queries of this method from this caller': 'RATE_LIMIT_READ',
  'new conversations from this caller': 'RATE_LIMIT_CREATE',
  'changes of members from this caller': 'RATE_LIMIT_MEMBERSHIP',
  'changes of members of this conversation from this caller': 'RATE_LIMIT_MEMBERSHIP_PER_CONVO',
  'requests of this method from this caller': 'RATE_LIMIT_OTHER',
  'bytes from this caller': 'RATE_LIMIT_BYTES',
  'bytes to store from this caller': 'RATE_LIMIT_STORED_BYTES',
  'failed authentications from this address': 'RATE_LIMIT_FAILED_AUTH',
}

/** Which limits were the bound, and how often. */
export class LimitHits {
  readonly #hits = new Map<string, LimitHit>()

  /** @param body of an answer RateLimitExceeded */
  add({ message, limit, windowS }: Record<string, unknown>): void {
    const setting = settingOf(String(message))
    const hit = this.#hits.get(setting) ?? {
      setting,
      limit: Number(limit),
      windowS: Number(windowS),
      refused: 0,
    }
    hit.refused++
    this.#hits.set(setting, hit)
  }

  list(): LimitHit[] {
    return [...this.#hits.values()]
  }
}

export function describeHit({ setting, limit, windowS, refused }: LimitHit): string {
  const window = windowS === 1 ? 'second' : windowS === 60 ? 'minute' : `${windowS} s`
  return (
    `A rate limit was the bound: ${setting} lets each caller have ${limit} per ${window} and refused ${refused} ` +
    `${refused === 1 ? 'request' : 'requests'}. Use more accounts (--conversations, --members, --tokens) or set it higher on the server.`
  )
}

/** The same, of one answer RateLimitExceeded. */
export function describeRefusal(body: Record<string, unknown>): string {
  const hits = new LimitHits()
  hits.add(body)
  return hits.list().map(describeHit).join('')
}

function settingOf(message: string): string {
  const [, counted] = /^too many (.*?)(?: \(|$)/.exec(message) ?? []
  return SETTINGS[counted ?? ''] ?? 'RATE_LIMIT_*'
}
