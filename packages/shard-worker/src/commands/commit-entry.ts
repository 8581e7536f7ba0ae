import { sha256Hex } from '@catbird/shared/bytes'
import type { Answer, CommitInput } from '@catbird/shared/commands'
import type { Draft } from '../conversation/decision.ts'
import { endedEpoch } from '../conversation/epoch.ts'
import type { ConvoState } from '../conversation/state.ts'

const SHA256_OF_NOTHING = sha256Hex(new Uint8Array())

type CommitChange = {
  sender: string
  /** Absent: a change of an untracked conversation, which the server puts into the next epoch. */
  commit?: CommitInput
  added: string[]
  removed: string[]
  entryId: string
}

/** Adds the entry that ends the current epoch. */
export function addCommit(draft: Draft, state: ConvoState, change: CommitChange): void {
  const { sender, commit, added, removed, entryId } = change
  draft.add({
    kind: 'commit',
    sender,
    bytes: commit?.bytes,
    sha256: commit?.sha256 ?? SHA256_OF_NOTHING,
    epoch: (commit ? endedEpoch(state, commit) : state.epoch) + 1,
    messageId: entryId,
    added,
    removed,
  })
}

export function commitAnswer(state: ConvoState): Answer {
  return { success: true, newEpoch: state.epoch, seq: state.seq, logHash: state.logHash }
}
