import { RefusalError } from '@catbird/shared/errors'

/** Where a caller stands with one limit. Points are requests, bytes or DIDs. */
export type LimitState = {
  /** Points of one window. */
  limit: number
  /** Points that are left in this window. */
  remaining: number
  /** Whole seconds until the window ends, at least 1. */
  resetS: number
  windowS: number
}

/** A request refused because its sender used its share; knows when to come back. */
export class RateLimitError extends RefusalError {
  readonly state: LimitState

  /** @param what the limit counts, such as "bytes of this caller" */
  constructor(what: string, state: LimitState) {
    const { limit, windowS, resetS } = state
    super('RateLimitExceeded', `too many ${what}`, { limit, windowS, retryAfterS: resetS })
    this.state = state
  }
}

/** The limit that has the smallest share left. */
export function tightest(states: readonly (LimitState | undefined)[]): LimitState | undefined {
  let least: LimitState | undefined
  for (const state of states) {
    if (state && (!least || share(state) < share(least))) least = state
  }
  return least
}

function share({ remaining, limit }: LimitState): number {
  return remaining / limit
}

/** A limit as the headers that clients know (draft-ietf-httpapi-ratelimit-headers-06). */
export function limitHeaders({ limit, remaining, resetS, windowS }: LimitState): Record<string, string> {
  return {
    'RateLimit-Limit': String(limit),
    'RateLimit-Remaining': String(remaining),
    'RateLimit-Reset': String(resetS),
    'RateLimit-Policy': `${limit};w=${windowS}`,
  }
}
