import type { CommitInput } from '@catbird/shared/commands'
import { type Refusal, refusal } from '@catbird/shared/errors'
import type { Refused } from './decision.ts'
import type { CommitRef, ConvoState } from './state.ts'

/** Highest epoch that a first commit may set as the base, exclusive. */
const MAX_BASE_EPOCH = 2 ** 31

/** The epoch that a commit ends, by its header; an opaque one is taken to end the current epoch. */
export function endedEpoch(state: ConvoState, commit: CommitInput): number {
  return commit.epoch ?? state.epoch
}

/**
 * The heart: a commit is accepted iff it ends the conversation's current epoch. Only the first commit of a
 * conversation that was created without an epoch may carry any other: it sets the base.
 */
export function refuseCommit(state: ConvoState, commit: CommitInput): Refused | undefined {
  const epoch = endedEpoch(state, commit)
  if (state.tracking !== 'tracked') {
    if (epoch < MAX_BASE_EPOCH) return undefined
    return {
      refusal: refusal('InvalidCommit', `the first commit must carry an epoch below ${MAX_BASE_EPOCH}`),
    }
  }
  if (epoch === state.epoch) return undefined
  const mismatch = refusal('EpochMismatch', 'the commit does not build on the current epoch', {
    serverEpoch: state.epoch,
    expectedEpoch: epoch,
  })
  if (state.lastCommit?.epoch === epoch + 1) return { refusal: withWinner(mismatch, state.lastCommit) }
  return { refusal: mismatch, winnerOf: epoch < state.epoch ? epoch : undefined }
}

/** Lets a client see whether its own earlier try won. */
export function withWinner(mismatch: Refusal, winningCommit: CommitRef): Refusal {
  return { ...mismatch, details: { ...mismatch.details, winningCommit } }
}

/** An application message is accepted in the current epoch, and in the last `window` ones before; never ahead. */
export function refuseMessageEpoch(
  state: Pick<ConvoState, 'epoch'>,
  epoch: number,
  window: number,
): Refusal | undefined {
  if (epoch <= state.epoch && epoch >= state.epoch - window) return undefined
  return refusal('EpochMismatch', 'the message is not encrypted in the current epoch', {
    serverEpoch: state.epoch,
    expectedEpoch: epoch,
  })
}
