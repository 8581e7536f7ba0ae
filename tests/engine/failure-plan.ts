/**
 * What can go wrong with a call, where it matters:
 * - `unavailable`: nothing reaches the database.
 * - `rolledBack`: the database undoes it, as after a deadlock.
 * - `lost`: the connection breaks, and what was sent takes its course by itself: before, between or after.
 * - `held`: as `lost`, and the old backend sleeps longer than anybody waits for it before it goes on.
 * - `never`: the connection breaks and nothing had been sent.
 */
export type FailureKind = 'unavailable' | 'rolledBack' | 'lost' | 'held' | 'never'
export type CallName = 'load' | 'facts' | 'inspect' | 'write' | 'locked'

export const WRITE_FAILURES: FailureKind[] = ['unavailable', 'rolledBack', 'lost', 'held', 'never']
const READ_FAILURES: FailureKind[] = ['unavailable', 'lost']

/** Asked once for each call of each owner, in order. */
export type FailurePlan = (owner: string, call: CallName) => FailureKind | undefined

export function kindsFor(call: CallName): FailureKind[] {
  return call === 'write' || call === 'locked' ? WRITE_FAILURES : READ_FAILURES
}
